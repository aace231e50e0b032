//! A proxy of HTTPS (`CONNECT`) that leads every host to one address: a client then meets a double under the names of the
//! real services, which is what decides some of its behaviour.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// A running proxy; dropping it lets no new connection in.
pub struct Tunnel {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    target: String,
    hosts: Mutex<Vec<String>>,
    stopped: AtomicBool,
}

impl Tunnel {
    /// Listens on a free loopback port and leads everybody to `url`, the address of a double.
    ///
    /// # Errors
    /// Where no port can be had.
    pub fn start(url: &str) -> io::Result<Self> {
        let target = url.split_once("://").map_or(url, |(_, host)| host).to_owned();
        let shared = Arc::new(Shared { target, hosts: Mutex::default(), stopped: AtomicBool::new(false) });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let seen = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if seen.stopped.load(Ordering::SeqCst) {
                    return;
                }
                let (Ok(stream), shared) = (stream, Arc::clone(&seen)) else { continue };
                thread::spawn(move || drop(lead(&stream, &shared)));
            }
        });
        Ok(Self { address, shared })
    }

    /// What a client names as its proxy.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The hosts that clients wanted to reach, with their ports, in the order of their connections.
    #[must_use]
    pub fn hosts(&self) -> Vec<String> {
        self.shared.hosts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // `accept` cannot be interrupted otherwise.
        drop(TcpStream::connect_timeout(&self.address, Duration::from_secs(1)));
    }
}

fn lead(client: &TcpStream, shared: &Shared) -> io::Result<()> {
    let mut reader = BufReader::new(client);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut line = String::from("headers");
    while !line.trim().is_empty() {
        line.clear();
        reader.read_line(&mut line)?;
    }
    let Some(host) = first.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next()) else {
        return (&mut &*client).write_all(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n");
    };
    shared.hosts.lock().unwrap_or_else(PoisonError::into_inner).push(host.to_owned());
    let server = TcpStream::connect(&shared.target)?;
    (&mut &*client).write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    let (mut up, mut answers) = (server.try_clone()?, client.try_clone()?);
    // The client waits for the answer before it goes on, so nothing of it is left in the reader's buffer.
    let forth = thread::spawn({
        let mut client = client.try_clone()?;
        move || {
            let copied = io::copy(&mut client, &mut up);
            drop(up.shutdown(Shutdown::Write));
            copied
        }
    });
    let back = io::copy(&mut &server, &mut answers);
    drop(client.shutdown(Shutdown::Both));
    drop(forth.join());
    back.map(|_| ())
}
