//! The ways to log in, as plain data: what the choice gives and the exchanges take.

use crate::secret::Secret;

/// The domain of Google's public services.
pub const GOOGLE_UNIVERSE: &str = "googleapis.com";

/// Where the identity token of the job (a JWT that its platform signed) comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdToken {
    /// GitHub's endpoint, which gives a fresh one for each exchange.
    GitHub {
        /// `ACTIONS_ID_TOKEN_REQUEST_URL`.
        url: String,
        /// `ACTIONS_ID_TOKEN_REQUEST_TOKEN`.
        bearer: Secret,
    },
    /// An input or a variable, such as those of GitLab's `id_tokens`: there is no second one.
    Given {
        /// The token.
        jwt: Secret,
        /// The input or variable, as its user writes it.
        name: String,
    },
    /// A file, read anew for each exchange.
    File {
        /// Absolute, or relative to the workspace.
        path: String,
        /// The input or variable that names it, as its user writes it.
        name: String,
    },
}

/// How to log in to AWS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsLogin {
    /// The first credentials.
    pub way: AwsWay,
    /// One line for the log: which way, and why.
    pub because: String,
    /// Roles (ARNs) to be assumed one after another, each with the credentials of the one before.
    pub chain: Vec<String>,
    /// For every role of the chain.
    pub external_id: Option<String>,
    /// 2 to 64 characters of `[A-Za-z0-9_+=,.@-]`.
    pub session_name: String,
    /// How long temporary credentials last: 900 to 43,200; a chained role's at most 3,600.
    pub duration_seconds: u32,
    /// Twelve digits each. The account that the login ends in must be one of them; empty for any.
    pub allowed_accounts: Vec<String>,
}

/// Where the first AWS credentials come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AwsWay {
    /// An access key.
    Keys {
        /// Access key id.
        id: Secret,
        /// Its secret.
        secret: Secret,
        /// For temporary credentials.
        token: Option<Secret>,
    },
    /// `AssumeRoleWithWebIdentity`.
    WebIdentity {
        /// The role's ARN.
        role: String,
        /// What proves who we are.
        token: IdToken,
        /// The audience to ask a token for.
        audience: String,
    },
    /// ECS, EKS Pod Identity and others: credentials from an endpoint that the environment names.
    Container {
        /// The full URL.
        url: String,
        /// `AWS_CONTAINER_AUTHORIZATION_TOKEN`.
        authorization: Option<Secret>,
        /// `AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE`, read anew for each request.
        authorization_file: Option<String>,
    },
    /// The instance metadata service of EC2 (IMDSv2).
    Instance {
        /// Its base URL, `http://169.254.169.254` as a rule.
        endpoint: String,
    },
}

/// How to log in to Google.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GcpLogin {
    /// The first credentials.
    pub way: GcpWay,
    /// One line for the log: which way, and why.
    pub because: String,
    /// The service account to act as, whatever the first credentials are.
    pub impersonation: Option<Impersonation>,
    /// The domain of the services, [`GOOGLE_UNIVERSE`] as a rule.
    pub universe: String,
}

/// Acting as a service account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Impersonation {
    /// Its e-mail address.
    pub account: String,
    /// Service accounts between the first credentials and `account`, in order.
    pub delegates: Vec<String>,
    /// How long its token lasts: 300 to 43,200.
    pub lifetime_seconds: u32,
}

/// Where the first Google credentials come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GcpWay {
    /// An access token.
    Token(Secret),
    /// A credentials file, given as text.
    Json(Secret),
    /// A credentials file, to be read.
    File(String),
    /// Workload identity federation.
    Federation {
        /// `projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER`.
        provider: String,
        /// What proves who we are.
        token: IdToken,
        /// The audience to ask a token for.
        audience: String,
    },
    /// The metadata server of GCE, GKE and Cloud Run.
    Metadata {
        /// Its base URL, `http://metadata.google.internal` as a rule.
        endpoint: String,
    },
}

/// How to log in to Azure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AzureLogin {
    /// What it is made of.
    pub way: AzureWay,
    /// One line for the log: which way, and why.
    pub because: String,
}

/// Where the Azure token comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AzureWay {
    /// An access token for Key Vault.
    Token(Secret),
    /// An application with its secret.
    ClientSecret {
        /// Tenant id or domain.
        tenant: String,
        /// Application (client) id.
        client: String,
        /// Its secret.
        secret: Secret,
    },
    /// An application, or a managed identity, that trusts the job's platform (federated credential).
    Assertion {
        /// Tenant id or domain.
        tenant: String,
        /// Application (client) id.
        client: String,
        /// What proves who we are.
        token: IdToken,
        /// The audience to ask a token for.
        audience: String,
    },
    /// The managed identity of the machine.
    Managed {
        /// Its client id where it is a user-assigned one.
        client: Option<String>,
        /// Where it is asked for.
        endpoint: ManagedEndpoint,
    },
}

/// Who hands out tokens of a managed identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ManagedEndpoint {
    /// App Service, Functions and Container Apps: `IDENTITY_ENDPOINT` with `IDENTITY_HEADER`.
    AppService {
        /// The full URL.
        url: String,
        /// The value of the header that proves that the caller is inside.
        header: Secret,
    },
    /// The instance metadata service.
    Instance {
        /// Its base URL, `http://169.254.169.254` as a rule.
        endpoint: String,
    },
}
