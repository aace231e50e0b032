//! The side of the secret as it receives: the payload that is there, and the one that shall be there.

use crate::config::Config;
use crate::document::{self, Document, Fault, Format};
use crate::error::{Failure, Kind};
use crate::plan::{self, Change, Plan};
use crate::reference::Reference;
use crate::secret::{Key, Secret, Variables};
use crate::store::{self, Form, Payload, Snapshot};

/// The payload as a document; an absent or empty secret is an empty one.
pub(super) fn document(config: &Config, which: &Reference, snapshot: Option<&Snapshot>) -> Result<Document, Failure> {
    let Some(snapshot) = snapshot else { return Ok(fresh(config)) };
    if snapshot.payload.form == Form::Base64 {
        let what = format!("the secret `{which}` is binary and no document");
        return Err(Failure::new(Kind::Input, what).help("push to another secret"));
    }
    parse(config, which, &snapshot.payload.text)
}

/// The text of a payload as a document; without a variable it is an empty one.
pub(super) fn parse(config: &Config, which: &Reference, text: &Secret) -> Result<Document, Failure> {
    match Document::parse(text, &config.separator, config.last_wins) {
        Ok(document) => Ok(document),
        Err(Fault::Empty) => Ok(fresh(config)),
        Err(fault) => Err(Failure::new(Kind::Input, format!("the secret `{which}` is no document: {fault}"))
            .help("push to another secret, or bring this one in order by hand")),
    }
}

fn fresh(config: &Config) -> Document {
    Document::empty(config.format.unwrap_or(Format::Json))
}

/// What of a document takes part: members whose names are none of a variable stay as they are.
pub(super) fn variables(document: &Document) -> Variables {
    let members = document.members().into_iter();
    members.filter_map(|(name, value)| Some((Key::new(&name)?, value))).collect()
}

/// The payload that a plan makes.
pub(super) struct Changed {
    pub(super) payload: Payload,
    /// What it reads as: an array has lost its white space where a document of JSON took it.
    pub(super) reads_as: Variables,
}

/// The payload after the plan, read back and within the store's limit; `None` where nothing changes. `rescued`: the
/// document was changed already.
pub(super) fn changed(
    config: &Config,
    which: &Reference,
    snapshot: Option<&Snapshot>,
    mut document: Document,
    plan: &Plan,
    giver: &Variables,
    rescued: bool,
) -> Result<Option<Changed>, Failure> {
    if !plan.has_changes() && !rescued {
        return Ok(None);
    }
    let mut expected = plan::applied(plan, giver, &variables(&document));
    let unusable = |fault: Fault| {
        Failure::new(Kind::Input, format!("the secret `{which}` cannot take this: {fault}")).help(fault.help(&which.id))
    };
    if let Some(format) = config.format.filter(|format| *format != document.format()) {
        document = document.converted(format).map_err(unusable)?;
    }
    for step in &plan.steps {
        match step.change {
            Change::Add | Change::Update => {
                if let Some(value) = giver.get(&step.key) {
                    document.set(&step.key, value).map_err(unusable)?;
                }
            }
            Change::Remove => document.remove(&step.key),
            Change::Unchanged | Change::Conflict => {}
        }
    }
    let text = document.print();
    let read = match Document::parse(&text, &config.separator, config.last_wins) {
        Ok(document) => variables(&document),
        Err(Fault::Empty) => Variables::new(),
        Err(fault) => return Err(unusable(fault)),
    };
    document::align(&mut expected, &read);
    if read != expected {
        let what = format!("`{which}` would not read back as it is meant, and was not written");
        let help = "this is a defect of envsync: please report it, without the values";
        return Err(Failure::new(Kind::Internal, what).help(help));
    }
    let payload = Payload { text, form: snapshot.map_or(Form::Text, |snapshot| snapshot.payload.form) };
    store::check_size(config, which, &payload)?;
    Ok(Some(Changed { payload, reads_as: read }))
}
