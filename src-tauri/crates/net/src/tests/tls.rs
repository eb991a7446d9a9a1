//! The rows of `attacks/tls.toml` and `http2.toml`. A client that trusts the tests' own authority needs
//! an environment of its own, so each file is played by a process of its own.

use std::{
    io::{Read, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use serde::Deserialize;
use url::Url;

use super::{
    server::small,
    site::{Answer, Made, Row},
};
use crate::{AddressPolicy, Client, GetOptions, Limits};

/// What must come of a row.
#[derive(Clone, Deserialize)]
struct Secure {
    certificate: Option<String>,
    #[serde(default = "once")]
    chain: usize,
    client: Made,
    reads: Option<String>,
}

const fn once() -> usize {
    1
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../tests/attacks/tls").join(name)
}

/// A server that plays these answers, one for each connection, the last one for ever; and its address.
fn server(answers: Vec<Answer>, secure: Option<Arc<ServerConfig>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound").to_string();
    std::thread::spawn(move || {
        for (at, stream) in listener.incoming().map_while(Result::ok).enumerate() {
            let answer = answers.get(at).or(answers.last()).cloned().expect("an answer");
            let secure = secure.clone();
            // Who has had enough says so by closing the connection.
            std::thread::spawn(move || talk(stream, &answer, secure));
        }
    });
    address
}

fn talk(
    mut stream: TcpStream,
    answer: &Answer,
    secure: Option<Arc<ServerConfig>>,
) -> std::io::Result<()> {
    let mut first = [0; 4096];
    match secure {
        Some(config) => {
            let http2 = !config.alpn_protocols.is_empty();
            let connection = ServerConnection::new(config).expect("a connection");
            let mut stream = StreamOwned::new(connection, stream);
            if http2 {
                wait_for_headers(&mut stream)?;
            } else {
                let _ = stream.read(&mut first)?;
            }
            answer.play(&mut stream)?;
            stream.conn.send_close_notify();
            stream.flush()
        }
        None => {
            let _ = stream.read(&mut first)?;
            answer.play(&mut stream)
        }
    }
}

/// Reads what the client says first, and its frames up to the head of its request.
fn wait_for_headers(stream: &mut impl Read) -> std::io::Result<()> {
    stream.read_exact(&mut [0; 24])?;
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        std::io::copy(&mut stream.take(length.into()), &mut std::io::sink())?;
        if head[3] == 1 {
            return Ok(());
        }
    }
}

fn config(name: &str, chain: usize, protocols: &[&[u8]]) -> Arc<ServerConfig> {
    let shown = CertificateDer::pem_file_iter(file(&format!("{name}.pem"))).expect("a file");
    let shown: Vec<CertificateDer<'static>> =
        shown.collect::<Result<_, _>>().expect("certificates");
    let key = PrivateKeyDer::from_pem_file(file("key.pem")).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(std::iter::repeat_n(shown, chain).flatten().collect(), key)
        .expect("a certificate with its key");
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    Arc::new(config)
}

async fn check(client: &Client, row: &Row<Secure>, protocols: &[&[u8]]) -> Option<String> {
    let Secure { certificate, chain, client: expected, reads } = &row.expected;
    let name = certificate.as_deref().or((!protocols.is_empty()).then_some("good"));
    let address = server(row.answers(), name.map(|name| config(name, *chain, protocols)));
    let url = Url::parse(&format!("https://{address}/")).expect("an address");
    let result = client.get(&url, &GetOptions::default()).await;
    let found = match &result {
        Ok(answer) => Made::Status(answer.status),
        Err(error) => Made::Code(error.code().to_owned()),
    };
    let body = result.as_ref().map(|answer| String::from_utf8_lossy(&answer.body).into_owned());
    let read = reads.as_ref().is_none_or(|reads| body.as_ref().ok() == Some(reads));
    let wrong = found != *expected || !read;
    wrong.then(|| format!("`{}`: {found:?} in place of {expected:?}: {result:.300?}", row.name))
}

async fn play(file: &str, protocols: &[&[u8]]) {
    let rows: Vec<Row<Secure>> = Row::all(file);
    let patience = Duration::from_secs(3);
    let total = Duration::from_secs(8);
    let limits = Limits { first_byte: patience, idle: patience, total, ..small() };
    let client = Client::new(AddressPolicy::new(&["127.0.0.1"]).expect("a host"), limits);
    let checks = rows.iter().map(|row| check(&client, row, protocols));
    let found = futures::future::join_all(checks).await;
    let wrong: Vec<String> = found.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{} of {} rows:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
}

/// Runs a test of this file in a process that trusts the authority.
fn trusting(test: &str) {
    let mut child = std::process::Command::new(std::env::current_exe().expect("this test"));
    child
        .args(["--exact", &format!("tests::tls::{test}"), "--ignored", "--nocapture"])
        .env("SSL_CERT_FILE", file("authority.pem"))
        .env_remove("SSL_CERT_DIR");
    let output = child.output().expect("this test again");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}{errors}");
}

// Elsewhere the system keeps whom it trusts.
#[cfg(target_os = "linux")]
#[test]
fn no_connection_is_trusted_that_is_not_trustworthy() {
    trusting("secure_rows");
}

#[cfg(target_os = "linux")]
#[test]
fn a_hostile_server_of_http2_costs_no_more_than_the_limits() {
    trusting("http2_rows");
}

#[tokio::test]
#[ignore = "is the process of another test"]
async fn secure_rows() {
    play("tls.toml", &[]).await;
}

#[tokio::test]
#[ignore = "is the process of another test"]
async fn http2_rows() {
    play("http2.toml", &[b"h2"]).await;
}
