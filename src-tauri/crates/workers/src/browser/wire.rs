//! The browser's remote control (the Chrome DevTools Protocol) over a pipe: JSON texts with a zero
//! byte after each. Threads read and write, as the pipes of child processes block.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Read, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc as thread_mpsc},
};

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use super::BrowserError;

/// Bytes of one message. A browser that sends more is not listened to any longer.
const MAX_MESSAGE: u64 = 128 << 20;
/// Events of one page that wait to be looked at. A page that makes more is given up.
const MAX_EVENTS: usize = 4_096;

/// Something that happened in a page.
#[derive(Debug, Deserialize)]
pub(super) struct Event {
    pub(super) method: String,
    #[serde(default)]
    pub(super) params: Value,
    /// The page, frame or worker it happened in.
    #[serde(default, rename = "sessionId")]
    pub(super) session: String,
}

type Answer = Result<Value, BrowserError>;

#[derive(Default)]
struct State {
    last: u64,
    closed: bool,
    waiting: HashMap<u64, oneshot::Sender<Answer>>,
    /// Where the events of a session go. Frames and workers share their page's.
    sessions: HashMap<String, mpsc::Sender<Event>>,
}

/// The connection to one browser. Cheap to clone.
#[derive(Clone)]
pub(super) struct Wire {
    state: Arc<Mutex<State>>,
    /// None once it is closed.
    out: Arc<Mutex<Option<thread_mpsc::Sender<Vec<u8>>>>>,
}

impl Wire {
    /// Writes to this pipe.
    pub(super) fn over(mut pipe: impl Write + Send + 'static) -> Self {
        let (out, messages) = thread_mpsc::channel::<Vec<u8>>();
        std::thread::spawn(move || {
            // The pipe closes with the last message, or when the browser has gone.
            for message in messages {
                if pipe.write_all(&message).and_then(|()| pipe.flush()).is_err() {
                    return;
                }
            }
        });
        Self { state: Arc::default(), out: Arc::new(Mutex::new(Some(out))) }
    }

    /// Takes messages until the browser closes the pipe.
    pub(super) fn read(&self, pipe: impl Read) {
        #[derive(Deserialize)]
        struct Message {
            id: Option<u64>,
            result: Option<Value>,
            error: Option<Failure>,
        }
        #[derive(Deserialize)]
        struct Failure {
            message: String,
        }
        let mut pipe = BufReader::with_capacity(64 << 10, pipe);
        let mut message = Vec::new();
        loop {
            message.clear();
            let read = (&mut pipe).take(MAX_MESSAGE).read_until(0, &mut message);
            if read.is_err() || message.pop() != Some(0) {
                break;
            }
            let Ok(head) = serde_json::from_slice::<Message>(&message) else { break };
            if let Some(id) = head.id {
                let answer = match head.error {
                    Some(Failure { message }) => Err(BrowserError::Refused(message)),
                    None => Ok(head.result.unwrap_or_default()),
                };
                if let Some(asked) = self.state().waiting.remove(&id) {
                    // Nobody may wait for it any more.
                    let _ = asked.send(answer);
                }
            } else if let Ok(event) = serde_json::from_slice::<Event>(&message) {
                self.tell(event);
            }
        }
        self.close();
    }

    fn tell(&self, event: Event) {
        let mut state = self.state();
        let Some(page) = state.sessions.get(&event.session).cloned() else { return };
        if event.method == "Target.attachedToTarget"
            && let Some(inner) = event.params["sessionId"].as_str()
        {
            state.sessions.insert(inner.to_owned(), page.clone());
        }
        if page.try_send(event).is_err() {
            // With the last sender gone, the page learns that it has been given up.
            state.sessions.retain(|_, known| !known.same_channel(&page));
        }
    }

    /// The events of a session and of those that begin within it.
    pub(super) fn listen(&self, session: &str) -> mpsc::Receiver<Event> {
        let (tell, events) = mpsc::channel(MAX_EVENTS);
        let mut state = self.state();
        state.sessions.retain(|_, known| !known.is_closed());
        if !state.closed {
            state.sessions.insert(session.to_owned(), tell);
        }
        events
    }

    /// Gives an order without waiting for what comes of it.
    pub(super) fn post(&self, session: &str, method: &str, params: Value) {
        let id = self.next_id();
        self.send(id, session, method, params);
    }

    /// Gives an order and waits for the answer.
    pub(super) async fn call(&self, session: &str, method: &str, params: Value) -> Answer {
        let id = self.next_id();
        let (answer, answered) = oneshot::channel();
        {
            let mut state = self.state();
            if state.closed {
                return Err(BrowserError::Ended);
            }
            state.waiting.insert(id, answer);
        }
        self.send(id, session, method, params);
        answered.await.unwrap_or(Err(BrowserError::Ended))
    }

    /// Ends everything that waits, and the browser with it.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        state.waiting.clear();
        state.sessions.clear();
        self.out.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state().closed
    }

    fn next_id(&self) -> u64 {
        let mut state = self.state();
        state.last += 1;
        state.last
    }

    fn send(&self, id: u64, session: &str, method: &str, params: Value) {
        let mut message = json!({ "id": id, "method": method, "params": params });
        if !session.is_empty() {
            message["sessionId"] = session.into();
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        if let Some(out) = &*self.out.lock().unwrap_or_else(PoisonError::into_inner) {
            // A browser that has gone hears nothing; who waits for it learns that elsewhere.
            let _ = out.send(bytes);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No holder leaves it half-changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
