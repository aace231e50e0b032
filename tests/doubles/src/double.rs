//! What all doubles share: they note what they were asked, fail when told to, and let the test act in between.

use std::collections::HashMap;
use std::io;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustls::ServerConfig;

use crate::http::{Outcome, Request, Response, Server, pause};

/// How the user agent of a request ends that only opens a connection.
const AHEAD: &str = "(opens a connection ahead of need)";

/// The service behind a double: names an operation, answers it, and knows the shape of its own errors.
pub trait Service: Send + 'static {
    /// The name that [`Handle::calls`] shows and [`Handle::fail`] takes, such as `GetSecretValue`.
    fn operation(&self, request: &Request) -> String;
    /// Does what the request asks.
    fn answer(&mut self, operation: &str, request: &Request) -> Response;
    /// An error in the service's own shape.
    fn error(&self, status: u16, code: &str, message: &str) -> Response;
    /// What a caller gets who calls too often.
    fn throttled(&self) -> Response;
    /// What a caller gets who lacks the permission for this request.
    fn access_denied(&self, operation: &str, request: &Request) -> Response;
    /// What a caller gets who may use the secret, but not the key that it is encrypted with.
    fn key_denied(&self) -> Response;
    /// The answer with a payload and a checksum that do not fit, where the service has one.
    fn spoil(&self, response: Response) -> Response {
        response
    }
}

/// How a call fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Status, error code and message, in the service's shape; nothing is done.
    Status(u16, String, String),
    /// Told to slow down, with the time to wait where one is given; nothing is done.
    Throttle(Option<Duration>),
    /// The connection ends before anything is done.
    ResetBefore,
    /// It is done, and then the connection ends without an answer.
    ResetAfter,
    /// It is done and answered this much later.
    Slow(Duration),
    /// Nothing is done, and no answer ever comes.
    Hang,
    /// It is done; half of the answer's body arrives, then the connection ends.
    Truncate,
    /// It is done; the payload that arrives does not fit its checksum.
    Checksum,
    /// A page of HTML with this status, as a gateway or a captive portal answers; nothing is done.
    Html(u16),
    /// 200 and the right content type, with a body that is no JSON; nothing is done.
    Garbage,
    /// The caller lacks the permission; nothing is done.
    AccessDenied,
    /// The caller may not use the secret's key; nothing is done.
    Kms,
    /// This very answer; nothing is done.
    Answer(Response),
}

impl Fault {
    /// A [`Fault::Status`].
    #[must_use]
    pub fn status(status: u16, code: &str, message: &str) -> Self {
        Self::Status(status, code.to_owned(), message.to_owned())
    }
}

/// Which calls of an operation are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// The nth since the double started, the first is 1.
    Nth(usize),
    /// The next n from now.
    Next(usize),
    /// All from now.
    Always,
}

impl From<usize> for When {
    fn from(nth: usize) -> Self {
        Self::Nth(nth)
    }
}

/// A thing that happens at certain calls; `*` is every operation.
struct Rule<T> {
    operation: String,
    /// What the request's target or body must hold; empty for any request.
    part: String,
    when: When,
    thing: T,
}

/// The first thing that is due at the nth call of an operation; uses one of a [`When::Next`] up.
fn due<T: Clone>(
    rules: &mut [Rule<T>],
    operation: &str,
    request: &Request,
    of_operation: usize,
    of_all: usize,
) -> Option<T> {
    for rule in rules {
        if !request.target.contains(&rule.part) && !request.body.contains(&rule.part) {
            continue;
        }
        let nth = match rule.operation.as_str() {
            "*" => of_all,
            name if name == operation => of_operation,
            _ => continue,
        };
        let hit = match &mut rule.when {
            When::Always => true,
            When::Nth(n) => *n == nth,
            When::Next(0) => false,
            When::Next(left) => {
                *left -= 1;
                true
            }
        };
        if hit {
            return Some(rule.thing.clone());
        }
    }
    None
}

type Hook<S> = Arc<dyn Fn(&Handle<S>) + Send + Sync>;

/// What was asked, and what shall go wrong.
struct Desk<S> {
    calls: Vec<String>,
    counts: HashMap<String, usize>,
    warmed: usize,
    requests: Vec<Request>,
    faults: Vec<Rule<Fault>>,
    hooks: Vec<Rule<Hook<S>>>,
}

struct Inner<S> {
    service: Mutex<S>,
    desk: Mutex<Desk<S>>,
    stopped: AtomicBool,
}

/// The test's side of a double: looks at what was asked, arranges what goes wrong, and (per service) seeds and reads.
pub struct Handle<S>(Arc<Inner<S>>);

impl<S> Clone for Handle<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: Service> Handle<S> {
    /// The operations that were called, in the order of their arrival, failed ones too.
    #[must_use]
    pub fn calls(&self) -> Vec<String> {
        self.desk().calls.clone()
    }

    /// How often one operation was called.
    #[must_use]
    pub fn count(&self, operation: &str) -> usize {
        self.desk().counts.get(operation).copied().unwrap_or(0)
    }

    /// How often a connection was opened ahead of need: the request that does it is no call, and nothing happens to it.
    #[must_use]
    pub fn warmed(&self) -> usize {
        self.desk().warmed
    }

    /// The bodies of all requests as they arrived, to look for what should not be in them.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        self.desk().requests.iter().map(|r| r.body.clone()).collect()
    }

    /// All requests as they arrived, with their headers.
    #[must_use]
    pub fn seen(&self) -> Vec<Request> {
        self.desk().requests.clone()
    }

    /// Lets calls of an operation (`*`: of any) fail. Of several faults that are due, the one arranged first happens.
    pub fn fail(&self, operation: &str, when: impl Into<When>, fault: Fault) {
        self.fail_for(operation, "", when, fault);
    }

    /// As [`Handle::fail`], of the requests alone whose target or body holds this part, such as a secret's name.
    pub fn fail_for(&self, operation: &str, part: &str, when: impl Into<When>, fault: Fault) {
        let (operation, part, when) = (operation.to_owned(), part.to_owned(), when.into());
        self.desk().faults.push(Rule { operation, part, when, thing: fault });
    }

    /// Runs the closure before a call is answered (or fails), for instance to write what a foreign writer would, or to
    /// tell the test that this moment has come. Only the call that it precedes waits for it.
    pub fn on(&self, operation: &str, when: impl Into<When>, hook: impl Fn(&Self) + Send + Sync + 'static) {
        let (operation, part, when) = (operation.to_owned(), String::new(), when.into());
        self.desk().hooks.push(Rule { operation, part, when, thing: Arc::new(hook) });
    }

    /// The service's state, for seeding and reading.
    pub(crate) fn service(&self) -> MutexGuard<'_, S> {
        self.0.service.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn desk(&self) -> MutexGuard<'_, Desk<S>> {
        self.0.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handle(&self, request: Request) -> Outcome {
        if request.header("user-agent").is_some_and(|agent| agent.ends_with(AHEAD)) {
            self.desk().warmed += 1;
            let bare = request.method == "GET" && request.header("authorization").is_none() && request.body.is_empty();
            return Outcome::Answer(Response::new(if bare { 404 } else { 500 }, "text/html", "<p>not here</p>"));
        }
        let operation = self.service().operation(&request);
        let (hook, fault) = {
            let mut guard = self.desk();
            let desk = &mut *guard;
            desk.calls.push(operation.clone());
            desk.requests.push(request.clone());
            let all = desk.calls.len();
            let count = desk.counts.entry(operation.clone()).or_default();
            *count += 1;
            let hook = due(&mut desk.hooks, &operation, &request, *count, all);
            (hook, due(&mut desk.faults, &operation, &request, *count, all))
        };
        // With nothing locked, so that the hook may seed, read, and even call the double.
        if let Some(hook) = hook {
            hook(self);
        }
        let done = || self.service().answer(&operation, &request);
        let Some(fault) = fault else { return Outcome::Answer(done()) };
        match fault {
            Fault::Status(status, code, message) => Outcome::Answer(self.service().error(status, &code, &message)),
            Fault::Throttle(wait) => Outcome::Answer(throttled(self.service().throttled(), wait)),
            Fault::AccessDenied => Outcome::Answer(self.service().access_denied(&operation, &request)),
            Fault::Kms => Outcome::Answer(self.service().key_denied()),
            Fault::Answer(response) => Outcome::Answer(response),
            Fault::ResetBefore => Outcome::Drop,
            Fault::ResetAfter => {
                done();
                Outcome::Drop
            }
            Fault::Slow(time) => {
                let response = done();
                pause(time, || self.0.stopped.load(Ordering::SeqCst));
                Outcome::Answer(response)
            }
            Fault::Hang => Outcome::Hang,
            Fault::Truncate => Outcome::Truncate(done()),
            Fault::Checksum => {
                let response = done();
                Outcome::Answer(self.service().spoil(response))
            }
            Fault::Html(status) => {
                let page = "<!DOCTYPE html>\n<html><body><h1>Sorry</h1></body></html>\n";
                Outcome::Answer(Response::new(status, "text/html; charset=utf-8", page))
            }
            Fault::Garbage => {
                let content_type = content_type(&self.service().error(500, "", ""));
                Outcome::Answer(Response::new(200, &content_type, *b"\x00\xffnot json{{{"))
            }
        }
    }
}

/// Both headers: the one of HTTP in whole seconds, and the one of the AWS SDKs in milliseconds.
fn throttled(response: Response, wait: Option<Duration>) -> Response {
    let Some(wait) = wait else { return response };
    let seconds = wait.as_millis().div_ceil(1000);
    response.with("Retry-After", seconds.to_string()).with("x-amz-retry-after", wait.as_millis().to_string())
}

fn content_type(response: &Response) -> String {
    let header = response.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    header.map_or_else(|| "application/json".to_owned(), |(_, value)| value.clone())
}

/// A running double; dropping it stops it, whatever it was doing.
pub struct Double<S> {
    handle: Handle<S>,
    server: Server,
}

impl<S: Service> Double<S> {
    /// Starts a service on a free loopback port.
    ///
    /// # Errors
    /// Where no port can be had.
    pub fn start(service: S) -> io::Result<Self> {
        Self::start_with(service, None)
    }

    /// As [`Double::start`], with TLS where a configuration is given.
    ///
    /// # Errors
    /// Where no port can be had.
    pub fn start_with(service: S, tls: Option<Arc<ServerConfig>>) -> io::Result<Self> {
        let desk = Desk {
            calls: Vec::new(),
            counts: HashMap::new(),
            warmed: 0,
            requests: Vec::new(),
            faults: Vec::new(),
            hooks: Vec::new(),
        };
        let handle = Handle(Arc::new(Inner {
            service: Mutex::new(service),
            desk: Mutex::new(desk),
            stopped: AtomicBool::new(false),
        }));
        let server = Server::start_with(tls, {
            let handle = handle.clone();
            move |request| handle.handle(request)
        })?;
        Ok(Self { handle, server })
    }

    /// `http://127.0.0.1:PORT` (`https` with TLS), without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }
}

impl<S> Double<S> {
    /// How many connections were opened to it.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.server.connections()
    }
}

impl<S> Deref for Double<S> {
    type Target = Handle<S>;

    fn deref(&self) -> &Self::Target {
        &self.handle
    }
}

impl<S> Drop for Double<S> {
    fn drop(&mut self) {
        self.handle.0.stopped.store(true, Ordering::SeqCst);
    }
}
