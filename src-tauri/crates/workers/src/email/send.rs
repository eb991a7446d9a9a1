//! Giving a message to the mail server: to the one that is set up, and never without TLS unless the
//! user has said so for a server nearby.

use std::{error::Error as _, time::Duration};

use lettre::{
    AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    transport::smtp::{
        Error,
        authentication::Credentials,
        client::{Tls, TlsParameters},
    },
};
use quaero_contract::MailSecurity;
use quaero_engine::work::TaskError;
use quaero_net::{ExposeSecret as _, MailServer, Redactor};

/// The time for each answer of the server.
const TIME: Duration = Duration::from_secs(60);
/// Characters of what a server says.
const MAX_SAID: usize = 500;

/// Gives a message to the server.
///
/// # Errors
/// `mail_refused` and `sign_in_refused` if it does not want it, `mail_deferred` if it wants it later,
/// `mail_tls`, `mail_client` and `cannot_connect` for what lies before.
pub(super) async fn send(server: &MailServer, message: Message) -> Result<(), TaskError> {
    let transport = transport(server)?;
    transport.send(message).await.map(drop).map_err(|error| task_error(server, &error))
}

/// Connects, and signs in if there is a user. Nothing is sent.
pub(crate) async fn test_mail(server: &MailServer) -> Result<(), TaskError> {
    match transport(server)?.test_connection().await {
        Ok(true) => Ok(()),
        Ok(false) => {
            let message = format!("{} took the connection but does not answer.", server.host);
            Err(TaskError::transient("cannot_connect", message))
        }
        Err(error) => Err(task_error(server, &error)),
    }
}

fn transport(server: &MailServer) -> Result<AsyncSmtpTransport<Tokio1Executor>, TaskError> {
    let parameters =
        || TlsParameters::new(server.host.clone()).map_err(|error| task_error(server, &error));
    let (tls, usual_port) = match server.security {
        MailSecurity::Tls => (Tls::Wrapper(parameters()?), 465),
        MailSecurity::StartTls => (Tls::Required(parameters()?), 587),
        MailSecurity::None => (Tls::None, 25),
    };
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(server.host.clone())
        .port(server.port.unwrap_or(usual_port))
        .tls(tls)
        .timeout(Some(TIME));
    if let Some(password) = &server.password {
        let (user, password) = (server.user.clone(), password.expose_secret().to_owned());
        builder = builder.credentials(Credentials::new(user, password));
    }
    Ok(builder.build())
}

fn task_error(server: &MailServer, error: &Error) -> TaskError {
    let host = &server.host;
    let said = said(server, error);
    let Some(code) = error.status().map(u16::from) else {
        if error.is_tls() {
            let message = format!("The secure connection to {host} failed: {said}.");
            return TaskError::permanent("mail_tls", message);
        }
        if error.is_client() {
            let message = format!(
                "{host} cannot be used as the settings say: {said}. Check the mail server in the settings, under Services."
            );
            return TaskError::permanent("mail_client", message);
        }
        let message = format!("{host} cannot be reached, or broke the connection off: {said}.");
        return TaskError::transient("cannot_connect", message);
    };
    match code {
        // RFC 4954: authentication required, too weak, failed, encryption required.
        530 | 534 | 535 | 538 => {
            let message = format!(
                "{host} refused the user or the password ({code}: {said}). Check them in the settings, under Services; some providers want a password made for apps."
            );
            TaskError::permanent("sign_in_refused", message)
        }
        400..500 => {
            let message = format!("{host} does not take the message yet ({code}: {said}).");
            TaskError::transient("mail_deferred", message)
        }
        _ => {
            let message = format!("{host} refused the message ({code}: {said}).");
            TaskError::permanent("mail_refused", message)
        }
    }
}

/// The innermost reason, in the server's words, without the password.
fn said(server: &MailServer, error: &Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = cause.to_string();
        next = cause.source();
    }
    let text = Redactor::new(&server.password).text(&text);
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    text.trim().trim_end_matches('.').chars().take(MAX_SAID).collect()
}
