//! A server of raw bytes, for tests.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use url::Url;

use crate::{AddressPolicy, Client, Limits};

/// What a server does with a request.
#[derive(Clone)]
pub(super) enum Act {
    /// Sends this and closes the connection.
    Say(Vec<u8>),
    /// Sends this and then nothing more.
    Hold(Vec<u8>),
    /// Sends the first, then the second for ever.
    Repeat(Vec<u8>, Vec<u8>),
}

pub(super) struct Server {
    pub(super) address: SocketAddr,
    /// The requests' heads, as they came.
    heads: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub(super) fn url(&self, path: &str) -> Url {
        Url::parse(&format!("http://{}{path}", self.address)).expect("the test's own path")
    }

    pub(super) fn client(&self) -> Client {
        let policy = AddressPolicy::new(&[self.address.to_string()]).expect("a host");
        Client::new(policy, small())
    }

    pub(super) fn heads(&self) -> Vec<String> {
        self.heads.lock().expect("no panic before").clone()
    }

    pub(super) fn hits(&self, target: &str) -> usize {
        self.heads().iter().filter(|head| head.split(' ').nth(1) == Some(target)).count()
    }
}

pub(super) fn small() -> Limits {
    Limits {
        connect: Duration::from_secs(2),
        first_byte: Duration::from_millis(500),
        idle: Duration::from_millis(500),
        total: Duration::from_secs(4),
        header_bytes: 16 << 10,
        body_bytes: 2 << 20,
        redirects: 10,
    }
}

/// A server that answers the same, or as its request's target says.
pub(super) async fn server(act: impl Fn(&str) -> Act + Send + Sync + 'static) -> Server {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let heads = Arc::new(Mutex::new(Vec::new()));
    let log = heads.clone();
    let act = Arc::new(act);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (act, log) = (act.clone(), log.clone());
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await?);
                }
                let head = String::from_utf8_lossy(&head).into_owned();
                let act = act(head.split(' ').nth(1).unwrap_or_default());
                log.lock().expect("no panic before").push(head);
                match act {
                    Act::Say(bytes) => stream.write_all(&bytes).await?,
                    Act::Hold(bytes) => {
                        stream.write_all(&bytes).await?;
                        stream.read_to_end(&mut Vec::new()).await?;
                    }
                    Act::Repeat(first, then) => {
                        stream.write_all(&first).await?;
                        loop {
                            stream.write_all(&then).await?;
                        }
                    }
                }
                std::io::Result::Ok(())
            });
        }
    });
    Server { address, heads }
}

pub(super) fn ok(headers: &str, body: &[u8]) -> Vec<u8> {
    let mut answer = format!("HTTP/1.1 200 OK\r\nConnection: close\r\n{headers}\r\n").into_bytes();
    answer.extend_from_slice(body);
    answer
}

pub(super) fn redirect(target: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 302 Found\r\nConnection: close\r\nContent-Length: 0\r\nLocation: {target}\r\n\r\n"
    )
    .into_bytes()
}
