//! Where AWS Secrets Manager is.

use super::super::reader::Reader;
use super::super::registry::Raw;
use super::super::variable;
use crate::auth::choice::choose_aws;
use crate::auth::way::AwsLogin;
use crate::error::Failure;
use crate::reference::Entry;

/// How to reach AWS Secrets Manager.
pub struct Aws {
    /// For names; an ARN brings its own.
    pub region: Option<String>,
    /// The base URL of the service in place of the region's own.
    pub endpoint: Option<String>,
    /// The base URL of STS in place of the region's own.
    pub sts_endpoint: Option<String>,
    /// `AWS_USE_FIPS_ENDPOINT`.
    pub fips: bool,
    /// `AWS_USE_DUALSTACK_ENDPOINT`.
    pub dual_stack: bool,
    /// Who we are.
    pub login: AwsLogin,
}

impl Reader<'_> {
    pub(in crate::config) fn aws(
        &mut self,
        raw: &Raw,
        entries: &[Entry],
        missing_login: &mut Option<Failure>,
    ) -> Option<Aws> {
        let on = |name: &str| variable(self.env, name).is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let (fips, dual_stack) = (on("AWS_USE_FIPS_ENDPOINT"), on("AWS_USE_DUALSTACK_ENDPOINT"));
        let configured = ["AWS_ENDPOINT_URL_SECRETS_MANAGER", "AWS_ENDPOINT_URL"];
        let configured = if on("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS") { &[][..] } else { &configured[..] };
        let region = self.own_or("aws_region", raw.aws_region.as_ref(), &["AWS_REGION", "AWS_DEFAULT_REGION"]);
        let endpoint = self.own_or("aws_endpoint_url", raw.aws_endpoint_url.as_ref(), configured);
        let sts = ["AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL"];
        let sts = if on("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS") { &[][..] } else { &sts[..] };
        let sts_endpoint = self.own_or("aws_sts_endpoint_url", raw.aws_sts_endpoint_url.as_ref(), sts);
        match &region {
            Some(region)
                if region.len() > 32
                    || region.starts_with('-')
                    || !region.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') =>
            {
                let what = format!("is `{}`, which is no region", region.escape_default());
                self.problem("aws_region", &what, "write it as in `eu-central-1`");
            }
            None if entries.iter().any(|entry| entry.reference.region.is_none()) => {
                let help = "set it, or AWS_REGION, or name the secret by its ARN";
                self.problem("aws_region", "is missing, and a secret is named without its region", help);
            }
            _ => {}
        }
        let example = "https://vpce-1.secretsmanager.eu-central-1.vpce.amazonaws.com";
        self.base_url("aws_endpoint_url", endpoint.as_ref(), false, example);
        let example = "https://sts.eu-central-1.amazonaws.com";
        self.base_url("aws_sts_endpoint_url", sts_endpoint.as_ref(), false, example);
        let login = self.login(raw, choose_aws, missing_login)?;
        Some(Aws { region, endpoint, sts_endpoint, fips, dual_stack, login })
    }
}
