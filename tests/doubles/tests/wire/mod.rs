//! What a client sees of an answer, down to where it breaks off.

use std::io::BufRead;

/// Status, headers in one text, and the body as far as it came; `None` where no answer came at all.
pub type Reply = Option<(u16, String, Vec<u8>)>;

/// The status, the headers in one text, and how long the body is said to be; `None` where no answer came at all.
pub fn head(reader: &mut impl BufRead) -> Option<(u16, String, u64)> {
    let mut status = String::new();
    if reader.read_line(&mut status).ok()? == 0 {
        return None;
    }
    let (mut headers, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        if line == "\r\n" {
            break;
        }
        if let Some(n) = line.strip_prefix("Content-Length: ") {
            length = n.trim().parse().unwrap();
        }
        headers += &line;
    }
    Some((status.split(' ').nth(1)?.parse().unwrap(), headers, length))
}
