//! A small HTTP/1.1 server: loopback only, a thread per connection, keep-alive, bodies by `Content-Length`. It can also do
//! what a well-behaved server never does, such as dropping a connection instead of answering.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// Most bytes of request line and headers together.
const MAX_HEAD: u64 = 64 * 1024;
/// Most bytes of a request body: well over any limit that a double enforces, so that the double can refuse it itself.
const MAX_BODY: usize = 8 * 1024 * 1024;

/// One request as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// `GET`, `POST`, …
    pub method: String,
    /// Path and query, as sent.
    pub target: String,
    /// Names in lower case, in the order of arrival.
    pub headers: Vec<(String, String)>,
    /// The body; a byte that is no UTF-8 becomes U+FFFD, because every service of this crate speaks text.
    pub body: String,
}

impl Request {
    /// The first header of this name (lower case).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// Headers besides `Content-Length`.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// An answer with one content type.
    pub fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: vec![("Content-Type".to_owned(), content_type.to_owned())], body: body.into() }
    }

    /// Adds a header.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    fn head(&self) -> String {
        let mut head = format!("HTTP/1.1 {} Double\r\nContent-Length: {}\r\n", self.status, self.body.len());
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head + "\r\n"
    }
}

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The answer.
    Answer(Response),
    /// Its head and half of its body, then the connection ends.
    Truncate(Response),
    /// The connection ends without an answer.
    Drop,
    /// No answer ever; the connection stays open until the client or the server goes.
    Hang,
}

type Handler = dyn Fn(Request) -> Outcome + Send + Sync;

struct Shared {
    handler: Box<Handler>,
    tls: Option<Arc<ServerConfig>>,
    stopped: AtomicBool,
    accepted: AtomicUsize,
    open: Mutex<HashMap<u64, TcpStream>>,
}

impl Shared {
    fn open(&self) -> MutexGuard<'_, HashMap<u64, TcpStream>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running server; dropping it ends every connection and frees the port.
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens on a free port of 127.0.0.1 and hands each request to the handler, several at a time.
    ///
    /// # Errors
    /// Where no port can be had.
    pub fn start(handler: impl Fn(Request) -> Outcome + Send + Sync + 'static) -> io::Result<Self> {
        Self::start_with(None, handler)
    }

    /// As [`Server::start`], with TLS where a configuration is given.
    ///
    /// # Errors
    /// Where no port can be had.
    pub fn start_with(
        tls: Option<Arc<ServerConfig>>,
        handler: impl Fn(Request) -> Outcome + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            handler: Box::new(handler),
            tls,
            stopped: AtomicBool::new(false),
            accepted: AtomicUsize::new(0),
            open: Mutex::new(HashMap::new()),
        });
        let acceptor = thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, &shared)
        });
        Ok(Self { address, shared, acceptor: Some(acceptor) })
    }

    /// `http://127.0.0.1:PORT` (`https` with TLS), without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.shared.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }
}

impl Server {
    /// How many connections were opened so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // `accept` cannot be interrupted otherwise.
        drop(TcpStream::connect_timeout(&self.address, Duration::from_secs(1)));
        if let Some(acceptor) = self.acceptor.take() {
            drop(acceptor.join());
        }
        for stream in self.shared.open().values() {
            drop(stream.shutdown(Shutdown::Both));
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for (id, stream) in (0_u64..).zip(listener.incoming()) {
        if shared.stopped.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        shared.accepted.fetch_add(1, Ordering::SeqCst);
        let Ok(handle) = stream.try_clone() else { continue };
        shared.open().insert(id, handle);
        let shared = Arc::clone(shared);
        thread::spawn(move || {
            // What a client does to its connection is its own affair; the test looks at the client.
            drop(secure(&stream, &shared));
            drop(stream.shutdown(Shutdown::Both));
            shared.open().remove(&id);
        });
    }
}

/// Serves a connection, through TLS where the server has it. The handshake happens with the first read.
fn secure(stream: &TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let Some(tls) = &shared.tls else { return serve(stream, shared) };
    let connection = ServerConnection::new(Arc::clone(tls)).map_err(io::Error::other)?;
    serve(StreamOwned::new(connection, stream), shared)
}

fn serve(stream: impl Read + Write, shared: &Shared) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    while let Some(request) = read(&mut reader)? {
        let close = request.header("connection").is_some_and(|v| v.eq_ignore_ascii_case("close"));
        match (shared.handler)(request) {
            Outcome::Answer(response) => {
                let mut bytes = response.head().into_bytes();
                bytes.extend_from_slice(&response.body);
                // One write, and for TLS one record where it fits: a client that waits for the whole answer waits once.
                reader.get_mut().write_all(&bytes)?;
                reader.get_mut().flush()?;
            }
            Outcome::Truncate(response) => {
                let mut bytes = response.head().into_bytes();
                bytes.extend_from_slice(&response.body[..response.body.len() / 2]);
                reader.get_mut().write_all(&bytes)?;
                return reader.get_mut().flush();
            }
            Outcome::Drop => return Ok(()),
            Outcome::Hang => return io::copy(&mut reader, &mut io::sink()).map(|_| ()),
        }
        if close || shared.stopped.load(Ordering::SeqCst) {
            return Ok(());
        }
    }
    Ok(())
}

/// The next request, or `None` where the client has closed the connection between two.
fn read(reader: &mut BufReader<impl Read>) -> io::Result<Option<Request>> {
    let mut head = reader.take(MAX_HEAD);
    let mut line = String::new();
    if head.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace().map(str::to_owned);
    let (Some(method), Some(target)) = (words.next(), words.next()) else { return Err(bad("request line")) };
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        if head.read_line(&mut line)? == 0 {
            return Err(bad("head"));
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or_else(|| bad("header"))?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut request = Request { method, target, headers, body: String::new() };
    if request.header("transfer-encoding").is_some() {
        return Err(bad("transfer encoding"));
    }
    let length = request.header("content-length").map_or(Ok(0), str::parse).map_err(|_| bad("length"))?;
    if length > MAX_BODY {
        return Err(bad("length"));
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    request.body = String::from_utf8_lossy(&body).into_owned();
    Ok(Some(request))
}

fn bad(part: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the double cannot read this {part}"))
}

/// Waits, but no longer than until `stop` is true: a test that is over does not wait for its slow answers.
pub fn pause(time: Duration, stop: impl Fn() -> bool) {
    let end = Instant::now() + time;
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        if left.is_zero() || stop() {
            return;
        }
        thread::sleep(left.min(Duration::from_millis(20)));
    }
}
