//! Which operation a request means, and on what: method and path of the REST form, as the `google.api.http` annotations of
//! the service give them. <https://cloud.google.com/secret-manager/docs/reference/rest>

use crate::http::Request;

/// One call of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The method's name in the service definition, such as `AccessSecretVersion`.
    pub operation: &'static str,
    /// Project id or number, as given.
    pub project: String,
    /// The region of a regional secret.
    pub location: Option<String>,
    /// The secret's id; empty for the two operations on a whole project.
    pub secret: String,
    /// The version as given: a number, `latest`, or an alias; empty where none is in the path.
    pub version: String,
    query: Vec<(String, String)>,
}

impl Call {
    /// `None` for a method and path that the service does not have.
    pub fn parse(request: &Request) -> Option<Self> {
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        let path = path.strip_prefix("/v1/")?;
        // A verb follows the last segment; a `:` cannot be in an id.
        let (path, verb) = path.rsplit_once(':').unwrap_or((path, ""));
        let segments: Vec<String> = path.split('/').map(decode).collect();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let (project, location, rest) = match segments.as_slice() {
            ["projects", project, "locations", location, rest @ ..] => (*project, Some((*location).to_owned()), rest),
            ["projects", project, rest @ ..] => (*project, None, rest),
            _ => return None,
        };
        let (operation, secret, version) = match (request.method.as_str(), rest, verb) {
            ("POST", ["secrets"], "") => ("CreateSecret", "", ""),
            ("GET", ["secrets"], "") => ("ListSecrets", "", ""),
            ("GET", ["secrets", id], "") => ("GetSecret", *id, ""),
            ("PATCH", ["secrets", id], "") => ("UpdateSecret", *id, ""),
            ("DELETE", ["secrets", id], "") => ("DeleteSecret", *id, ""),
            ("POST", ["secrets", id], "addVersion") => ("AddSecretVersion", *id, ""),
            ("GET", ["secrets", id, "versions"], "") => ("ListSecretVersions", *id, ""),
            ("GET", ["secrets", id, "versions", version], "") => ("GetSecretVersion", *id, *version),
            ("GET", ["secrets", id, "versions", version], "access") => ("AccessSecretVersion", *id, *version),
            ("POST", ["secrets", id, "versions", version], "enable") => ("EnableSecretVersion", *id, *version),
            ("POST", ["secrets", id, "versions", version], "disable") => ("DisableSecretVersion", *id, *version),
            ("POST", ["secrets", id, "versions", version], "destroy") => ("DestroySecretVersion", *id, *version),
            _ => return None,
        };
        Some(Self {
            operation,
            project: project.to_owned(),
            location,
            secret: secret.to_owned(),
            version: version.to_owned(),
            query: query
                .split('&')
                .filter_map(|pair| pair.split_once('='))
                .map(|(n, v)| (decode(n), decode(v)))
                .collect(),
        })
    }

    /// The first query parameter of this name that is not empty.
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(n, v)| n == name && !v.is_empty()).map(|(_, v)| v.as_str())
    }

    /// The permission that the operation takes.
    /// <https://cloud.google.com/secret-manager/docs/access-control>
    pub fn permission(&self) -> &'static str {
        match self.operation {
            "CreateSecret" => "secretmanager.secrets.create",
            "ListSecrets" => "secretmanager.secrets.list",
            "GetSecret" => "secretmanager.secrets.get",
            "UpdateSecret" => "secretmanager.secrets.update",
            "DeleteSecret" => "secretmanager.secrets.delete",
            "AddSecretVersion" => "secretmanager.versions.add",
            "ListSecretVersions" => "secretmanager.versions.list",
            "GetSecretVersion" => "secretmanager.versions.get",
            "EnableSecretVersion" => "secretmanager.versions.enable",
            "DisableSecretVersion" => "secretmanager.versions.disable",
            "DestroySecretVersion" => "secretmanager.versions.destroy",
            _ => "secretmanager.versions.access",
        }
    }

    /// The resource's name as the caller gave it.
    pub fn resource(&self) -> String {
        let mut name = parent(&self.project, self.location.as_deref());
        for (collection, id) in [("secrets", &self.secret), ("versions", &self.version)] {
            if !id.is_empty() {
                name = format!("{name}/{collection}/{id}");
            }
        }
        name
    }
}

/// What secrets lie under.
pub fn parent(project: &str, location: Option<&str>) -> String {
    location.map_or_else(|| format!("projects/{project}"), |l| format!("projects/{project}/locations/{l}"))
}

/// Undoes percent-encoding, and `+` for a space; what is no encoding stays as it is.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = tail.get(..2).and_then(|h| std::str::from_utf8(h).ok()).and_then(|h| u8::from_str_radix(h, 16).ok());
        (rest, bytes) = match (first, hex) {
            (b'%', Some(byte)) => (&tail[2..], push(bytes, byte)),
            (b'+', _) => (tail, push(bytes, b' ')),
            _ => (tail, push(bytes, *first)),
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn push(mut bytes: Vec<u8>, byte: u8) -> Vec<u8> {
    bytes.push(byte);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(method: &str, target: &str) -> Option<Call> {
        let request =
            Request { method: method.into(), target: target.into(), headers: Vec::new(), body: String::new() };
        Call::parse(&request)
    }

    #[test]
    fn a_path_names_operation_and_resource() {
        let access =
            call("GET", "/v1/projects/p/secrets/s/versions/latest:access?$alt=json%3Benum-encoding%3Dint").unwrap();
        assert_eq!(access.operation, "AccessSecretVersion");
        assert_eq!(access.resource(), "projects/p/secrets/s/versions/latest");
        assert_eq!(access.query("$alt"), Some("json;enum-encoding=int"));
        let add = call("POST", "/v1/projects/p/locations/europe-west3/secrets/s:addVersion").unwrap();
        assert_eq!((add.operation, add.location.as_deref()), ("AddSecretVersion", Some("europe-west3")));
        assert_eq!(add.resource(), "projects/p/locations/europe-west3/secrets/s");
        assert_eq!(
            call("GET", "/v1/projects/p/secrets?filter=name:a+OR+name:%C3%A9").unwrap().query("filter"),
            Some("name:a OR name:é")
        );
    }

    #[test]
    fn what_the_service_lacks_is_none() {
        for (method, target) in [
            ("POST", "/v1/projects/p/secrets/s/versions/1:access"),
            ("GET", "/v1/projects/p/secrets/s/versions/1:enable"),
            ("GET", "/v1beta1/projects/p/secrets/s"),
            ("PUT", "/v1/projects/p/secrets/s"),
            ("GET", "/v1/secrets/s"),
        ] {
            assert_eq!(call(method, target), None, "{method} {target}");
        }
    }
}
