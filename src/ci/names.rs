//! Which variables later steps must not be given, as data and pure checks.

use std::collections::HashMap;

use super::text::list;
use crate::error::Problem;
use crate::secret::{Key, Variables};

/// The most that one variable may take in an environment, name and `=` included: Linux refuses to start a program with a
/// string of 128 KiB (`MAX_ARG_STRLEN`), and then every later step fails. In bytes.
const VARIABLE: usize = 120 * 1024;
/// The most that all of them together may take: arguments and environment of a program share 2 MiB (a quarter of the usual
/// stack limit), and later steps bring their own. In bytes.
const ENVIRONMENT: usize = 1536 * 1024;

/// Names through which a value becomes code, redirects traffic or takes over the pipeline's own variables.
const NAMES: [&str; 54] = [
    // The shell and the loader.
    "PATH",
    "BASH_ENV",
    "ENV",
    "ZDOTDIR",
    "SHELLOPTS",
    "BASHOPTS",
    "PS4",
    "IFS",
    "PROMPT_COMMAND",
    "GLOBIGNORE",
    "CDPATH",
    "HOME",
    "SHELL",
    "TMPDIR",
    "TMP",
    "TEMP",
    "EDITOR",
    "VISUAL",
    "PAGER",
    "GCONV_PATH",
    "MALLOC_TRACE",
    // Interpreters and build tools.
    "NODE_PATH",
    "NODE_REPL_EXTERNAL_MODULE",
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONSTARTUP",
    "PYTHONINSPECT",
    "PERLLIB",
    "PERL5LIB",
    "PERL5OPT",
    "PERL5DB",
    "RUBYOPT",
    "RUBYLIB",
    "JAVA_TOOL_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "_JAVA_OPTIONS",
    "CLASSPATH",
    "LUA_INIT",
    "PHPRC",
    "PHP_INI_SCAN_DIR",
    "DOTNET_STARTUP_HOOKS",
    "CORECLR_PROFILER_PATH",
    "RUSTC_WRAPPER",
    "CARGO_BUILD_RUSTC_WRAPPER",
    // Whom a TLS client trusts.
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
    "NODE_TLS_REJECT_UNAUTHORIZED",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "AWS_CA_BUNDLE",
    "SSLKEYLOGFILE",
    // Where we are.
    "CI",
    "GITLAB_CI",
];
/// Names whose readers do not mind the case.
const NAMES_ANY_CASE: [&str; 7] = [
    // The runner refuses this one itself, in any case.
    "NODE_OPTIONS",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "NPM_CONFIG_SCRIPT_SHELL",
    "NPM_CONFIG_NODE_OPTIONS",
];
/// What such names begin with; `ENVSYNC_` because a later step of ours would take it for an input.
const PREFIXES: [&str; 12] = [
    "LD_",
    "DYLD_",
    "GIT_",
    "BASH_FUNC_",
    "GITHUB_",
    "GITEA_",
    "FORGEJO_",
    "RUNNER_",
    "ACTIONS_",
    "INPUT_",
    "STATE_",
    "ENVSYNC_",
];

/// Whether a variable of this name would take over later steps.
fn hijacks(name: &str) -> bool {
    NAMES.contains(&name)
        || NAMES_ANY_CASE.iter().any(|n| n.eq_ignore_ascii_case(name))
        || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// What keeps the variables from reaching the environment of later steps.
pub(super) fn not_for_the_environment(variables: &Variables) -> Vec<Problem> {
    let mut problems = Vec::new();
    let size = |key: &Key, value: &str| key.as_str().len() + 1 + value.len();
    let hijackers: Vec<&str> = variables.keys().map(Key::as_str).filter(|name| hijacks(name)).collect();
    if !hijackers.is_empty() {
        problems.push(Problem::new(
            format!("these names would take over later steps and are never exported: {}", all(&hijackers)),
            "leave them out with `exclude`, or set `export_env` to `false`",
        ));
    }
    let large: Vec<&str> = variables
        .iter()
        .filter(|(key, value)| size(key, value.expose()) > VARIABLE)
        .map(|(key, _)| key.as_str())
        .collect();
    if !large.is_empty() {
        problems.push(Problem::new(
            format!("no environment can hold more than 120 KiB in one variable: {}", all(&large)),
            "leave them out with `exclude`, or read them from the file",
        ));
    } else if variables.iter().map(|(key, value)| size(key, value.expose())).sum::<usize>() > ENVIRONMENT {
        problems.push(Problem::new(
            "all variables together are more than the 1.5 MiB that later steps can bear in their environment",
            "choose some with `include`, or read them from the file",
        ));
    }
    problems
}

/// What keeps the variables from becoming outputs: the runner compares their names without case.
pub(super) fn not_for_outputs(variables: &Variables, last_wins: bool) -> Vec<Problem> {
    if last_wins {
        return Vec::new();
    }
    let mut seen: HashMap<String, &Key> = HashMap::new();
    let mut problems = Vec::new();
    for key in variables.keys() {
        if let Some(first) = seen.insert(key.as_str().to_ascii_lowercase(), key) {
            problems.push(Problem::new(
                format!("`{first}` and `{key}` would be one output: their names differ only in case"),
                "leave one of them out with `exclude`, or set `on_collision` to `last`",
            ));
        }
    }
    problems
}

/// What no command file can carry to a step.
pub(super) fn not_for_steps(variables: &Variables) -> Vec<Problem> {
    let nul = variables.iter().filter(|(_, value)| value.expose().contains('\0'));
    let names: Vec<&str> = nul.map(|(key, _)| key.as_str()).collect();
    if names.is_empty() {
        return Vec::new();
    }
    let what = format!("values that hold a NUL cannot be handed over: {}", all(&names));
    vec![Problem::new(what, "leave them out with `exclude`")]
}

fn all(names: &[&str]) -> String {
    list(names.iter().copied(), usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn variables(pairs: &[(&str, &str)]) -> Variables {
        pairs.iter().map(|(k, v)| (Key::new(k).unwrap(), Secret::from(*v))).collect()
    }

    #[test]
    fn hijackers_table() {
        let bad = [
            "PATH",
            "LD_PRELOAD",
            "DYLD_INSERT_LIBRARIES",
            "NODE_OPTIONS",
            "Node_Options",
            "GIT_SSH_COMMAND",
            "_JAVA_OPTIONS",
            "GITHUB_TOKEN",
            "INPUT_SECRET",
            "STATE_x",
            "CI",
            "https_proxy",
            "No_Proxy",
            "BASH_FUNC_x",
            "ENVSYNC_MODE",
        ];
        for name in bad {
            assert!(hijacks(name), "{name}");
        }
        // Readers on Linux mind the case: a member called `path` of a JSON secret is harmless.
        for name in
            ["path", "home", "env", "ci", "input_dir", "PATHS", "MY_PATH", "DIGIT_", "CI_TOKEN", "NODE_ENV", "API_KEY"]
        {
            assert!(!hijacks(name), "{name}");
        }
    }

    #[test]
    fn all_offenders_are_named_at_once() {
        let problems = not_for_the_environment(&variables(&[("PATH", "x"), ("GOOD", "x"), ("LD_PRELOAD", "x")]));
        assert_eq!(problems.len(), 1);
        assert!(problems[0].what.ends_with("`PATH`, `LD_PRELOAD`"));
        assert!(problems[0].help.as_ref().is_some_and(|help| help.contains("`exclude`")));
    }

    #[test]
    fn what_would_break_every_later_step_is_refused() {
        let (fits, large) = ("x".repeat(VARIABLE - 2), "x".repeat(VARIABLE - 1));
        assert_eq!(not_for_the_environment(&variables(&[("A", &fits)])), []);
        let problems = not_for_the_environment(&variables(&[("A", &fits), ("B", &large)]));
        assert!(problems.len() == 1 && problems[0].what.ends_with(": `B`"));
        let names: Vec<String> = (0..13).map(|i| format!("A{i}")).collect();
        let many: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), &fits[..fits.len() - 4])).collect();
        assert_eq!(not_for_the_environment(&variables(&many[..12])), []);
        assert_eq!(not_for_the_environment(&variables(&many)).len(), 1);
    }

    #[test]
    fn outputs_are_compared_without_case() {
        let both = variables(&[("Token", "1"), ("OTHER", "1"), ("TOKEN", "2")]);
        let problems = not_for_outputs(&both, false);
        assert!(problems.len() == 1 && problems[0].what.starts_with("`Token` and `TOKEN`"));
        assert_eq!(not_for_outputs(&both, true), []);
    }

    #[test]
    fn a_nul_is_refused_by_name() {
        let problems = not_for_steps(&variables(&[("A", "x"), ("B", "fake\0nul")]));
        assert!(problems.len() == 1 && problems[0].what.ends_with("`B`") && !problems[0].what.contains("fake"));
    }
}
