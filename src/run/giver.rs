//! What a push gives: the variables of the file, or of `content`.

use super::Run;
use crate::document::Document;
use crate::error::{Failure, Kind, Problem};
use crate::file::Target;
use crate::secret::{Key, Secret, Variables};

impl Run<'_> {
    /// The variables to push: of the file, or of `content`.
    pub(super) fn giver(&mut self) -> Result<(Variables, Option<Target>), Failure> {
        if let Some(content) = &self.config.content {
            return Ok((self.content(content)?, None));
        }
        let target = self.env_file()?;
        let variables = self.existing(&target, "create it, or name another one with `env_file`")?;
        Ok((variables, Some(target)))
    }

    /// The variables of `content`.
    fn content(&mut self, content: &Secret) -> Result<Variables, Failure> {
        let json = content.expose().trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']).starts_with(['{', '[']);
        let members = if json {
            let parsed = Document::parse(content, &self.config.separator, self.config.last_wins);
            parsed.map(|document| document.members()).map_err(|fault| {
                Failure::new(Kind::Input, format!("`content` cannot be used: {fault}")).help(fault.help("content"))
            })?
        } else {
            let document = self.parse("content", content.expose().as_bytes())?;
            document.variables().into_iter().map(|(key, value)| (key.as_str().to_owned(), value)).collect()
        };
        let mut variables = Variables::new();
        let mut problems = Vec::new();
        for (name, value) in members {
            // The token of the job is in `toJSON(secrets)` without having been put there by anybody.
            let own_token = json && name.eq_ignore_ascii_case("github_token");
            if own_token || !self.config.scope.holds(&name) {
                continue;
            }
            let help = "leave it out with `exclude`";
            match Key::new(&name) {
                None => {
                    problems.push(Problem::new(format!("`{name}` in `content` is no valid name of a variable"), help));
                }
                Some(_) if value.expose().contains('\0') => {
                    let what =
                        format!("the value of `{name}` in `content` holds a NUL, which no environment can carry");
                    problems.push(Problem::new(what, help));
                }
                Some(key) => {
                    variables.insert(key, value);
                }
            }
        }
        Failure::all(Kind::Input, problems).map_or(Ok(variables), Err)
    }
}
