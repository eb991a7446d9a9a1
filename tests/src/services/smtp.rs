//! A mail server (RFC 5321, with STARTTLS of RFC 3207 and AUTH of RFC 4954) that keeps what it takes.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

use super::KEY;
use crate::site::Site;

/// The user that may sign in, with the password [`KEY`].
pub const USER: &str = "quaero@example.org";

/// What goes wrong with one message or one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpFault {
    /// Not with this greeting: "554 No SMTP service here".
    Closed,
    /// "535 5.7.8", whatever the password.
    BadPassword,
    /// "451 4.7.1 Greylisting in action", as servers answer to a sender that they see first.
    Greylisting,
    /// "550 5.1.1" to the recipient.
    NoSuchUser,
    /// "552 5.3.4" to the message.
    TooLarge,
    /// The message is taken and the connection closed before that is said.
    HangUpAfterData,
    /// The connection is closed before the message.
    HangUp,
    /// Nothing is said until the other side gives up.
    Silent,
}

/// A message that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// Who gets it.
    pub to: String,
    /// Whether the sender has signed in.
    pub signed_in: bool,
    /// Headers and body.
    pub text: String,
}

impl Mail {
    /// A header of the message.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let head = self.text.split("\r\n\r\n").next()?;
        head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

#[derive(Default)]
struct Shared {
    mails: Mutex<Vec<Mail>>,
    /// Every line that came before TLS.
    lines: Mutex<Vec<String>>,
    /// None for a connection on which all goes well.
    faults: Mutex<VecDeque<Option<SmtpFault>>>,
}

/// A running mail server.
pub struct SmtpServer {
    site: Site,
    shared: Arc<Shared>,
}

impl SmtpServer {
    /// Starts it. With `starttls` it offers TLS, begins it, and breaks off after the other side's first
    /// message: it has no certificate that anybody would trust.
    ///
    /// # Panics
    /// If no port can be had.
    #[must_use]
    pub fn start(starttls: bool) -> Self {
        let shared = Arc::new(Shared::default());
        let with = Arc::clone(&shared);
        let site = Site::start(move |stream, _| {
            serve(BufReader::new(stream), Arc::clone(&with), starttls)
        });
        Self { site: site.expect("a port"), shared }
    }

    /// Its port on `127.0.0.1`.
    ///
    /// # Panics
    /// Never: it has one.
    #[must_use]
    pub fn port(&self) -> u16 {
        let host = self.site.host();
        host.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port")
    }

    /// The next connections fail like this, one after the other.
    pub fn fail_next(&self, faults: impl IntoIterator<Item = SmtpFault>) {
        lock(&self.shared.faults).extend(faults.into_iter().map(Some));
    }

    /// All goes well on so many connections, and the one after them fails like this.
    pub fn fail_after(&self, right: usize, fault: SmtpFault) {
        let mut faults = lock(&self.shared.faults);
        faults.extend(std::iter::repeat_n(None, right));
        faults.push_back(Some(fault));
    }

    /// What was taken.
    #[must_use]
    pub fn mails(&self) -> Vec<Mail> {
        lock(&self.shared.mails).clone()
    }

    /// What was said to it before TLS, line by line, without the messages.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        lock(&self.shared.lines).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(
    mut stream: BufReader<TcpStream>,
    shared: Arc<Shared>,
    starttls: bool,
) -> io::Result<()> {
    let fault = lock(&shared.faults).pop_front().flatten();
    if fault == Some(SmtpFault::Silent) {
        // Ends when the other side closes the connection.
        return stream.read_u8().await.map(drop);
    }
    if fault == Some(SmtpFault::Closed) {
        return stream.write_all(b"554 5.3.2 No SMTP service here\r\n").await;
    }
    stream.write_all(b"220 mail.example.org ESMTP\r\n").await?;
    let (mut to, mut signed_in) = (String::new(), false);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let line = line.trim_end().to_owned();
        lock(&shared.lines).push(line.clone());
        let command = line.to_ascii_uppercase();
        let answer = if command.starts_with("EHLO") {
            let tls = if starttls { "250-STARTTLS\r\n" } else { "" };
            format!(
                "250-mail.example.org\r\n{tls}250-8BITMIME\r\n250-SIZE 10485760\r\n250 AUTH PLAIN LOGIN"
            )
        } else if command == "STARTTLS" && starttls {
            stream.write_all(b"220 2.0.0 Ready to start TLS\r\n").await?;
            // A record of a handshake begins with 22.
            let first = stream.read_u8().await?;
            lock(&shared.lines).push(format!("[{first}]"));
            return Ok(());
        } else if let Some(given) = line.strip_prefix("AUTH PLAIN ") {
            if given == plain() && fault != Some(SmtpFault::BadPassword) {
                signed_in = true;
                "235 2.7.0 Authentication successful".to_owned()
            } else {
                // Some repeat what they were given, in the clear and as it came.
                format!("535 5.7.8 Error: authentication failed: {KEY} ({given})")
            }
        } else if command.starts_with("MAIL FROM:") {
            if fault == Some(SmtpFault::HangUp) {
                return Ok(());
            }
            "250 2.1.0 Ok".to_owned()
        } else if let Some(rest) = command.starts_with("RCPT TO:").then(|| &line[8..]) {
            to = rest.trim_matches(['<', '>', ' ']).to_owned();
            match fault {
                Some(SmtpFault::Greylisting) => {
                    format!("451 4.7.1 <{to}>: Recipient address rejected: Greylisting in action")
                }
                Some(SmtpFault::NoSuchUser) => {
                    format!("550 5.1.1 <{to}>: Recipient address rejected: User unknown")
                }
                _ => "250 2.1.5 Ok".to_owned(),
            }
        } else if command == "DATA" {
            stream.write_all(b"354 End data with <CR><LF>.<CR><LF>\r\n").await?;
            let text = data(&mut stream).await?;
            if fault == Some(SmtpFault::TooLarge) {
                "552 5.3.4 Message size exceeds fixed limit".to_owned()
            } else {
                lock(&shared.mails).push(Mail { to: to.clone(), signed_in, text });
                if fault == Some(SmtpFault::HangUpAfterData) {
                    return Ok(());
                }
                "250 2.0.0 Ok: queued as 4F2A1".to_owned()
            }
        } else if command == "QUIT" {
            return stream.write_all(b"221 2.0.0 Bye\r\n").await;
        } else if command == "NOOP" || command == "RSET" {
            "250 2.0.0 Ok".to_owned()
        } else {
            "502 5.5.2 Error: command not recognized".to_owned()
        };
        stream.write_all(format!("{answer}\r\n").as_bytes()).await?;
    }
}

async fn data(stream: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut text = String::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if line == ".\r\n" {
            return Ok(text);
        }
        // A dot at the beginning is doubled on the way.
        text.push_str(line.strip_prefix('.').unwrap_or(&line));
    }
}

/// The user and the password as `AUTH PLAIN` sends them (RFC 4616), in base64.
fn plain() -> String {
    STANDARD.encode(format!("\0{USER}\0{KEY}"))
}
