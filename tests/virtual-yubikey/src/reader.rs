//! A card in a reader of a real `pcscd`: the protocol of `vpcd`, and the hand that touches, pulls and inserts.
//!
//! Rules:
//! 1. The card calls `vpcd`, over TCP on this machine, for as long as it is inserted. Pulling it closes the connection.
//! 2. A message is two bytes of length, highest first, and as many bytes. One byte from the reader is a signal: 0 power
//!    off, 1 power on, 2 reset, 4 the answer to reset is wanted. Anything longer is a command.
//! 3. A card that waits for a touch can be touched and pulled all the while.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::card::{ATR, Card, Faults, Finger};
use crate::state::State;

/// When the card is touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touch {
    /// At once, whenever it waits.
    Always,
    /// Never.
    Never,
    /// When [`Reader::touch`] is called while it waits.
    Asked,
    /// So long after it began to wait.
    After(Duration),
}

/// What the hand does.
struct Hand {
    touch: Touch,
    is_inserted: bool,
    is_waiting: bool,
    is_touched: bool,
    is_holding: bool,
    has_ended: bool,
    stream: Option<TcpStream>,
}

struct Moving {
    hand: Mutex<Hand>,
    moved: Condvar,
}

/// A card that is, or was, in a reader. Dropping it pulls the card for good.
pub struct Reader {
    moving: Arc<Moving>,
    card: Arc<Mutex<Card>>,
    thread: Option<JoinHandle<()>>,
}

/// What a panic elsewhere left behind is still a card.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Finger for Moving {
    fn touch_within(&self, limit: Duration) -> bool {
        let mut hand = lock(&self.hand);
        let patience = match hand.touch {
            Touch::Always => return hand.is_inserted,
            Touch::After(delay) => delay.min(limit),
            Touch::Never | Touch::Asked => limit,
        };
        (hand.is_waiting, hand.is_touched) = (true, false);
        let nothing = |hand: &mut Hand| !hand.is_touched && hand.is_inserted;
        let (mut hand, _) =
            self.moved.wait_timeout_while(hand, patience, nothing).unwrap_or_else(PoisonError::into_inner);
        hand.is_waiting = false;
        let is_late = matches!(hand.touch, Touch::After(delay) if delay <= limit);
        hand.is_inserted && (hand.is_touched || is_late)
    }
}

impl Reader {
    /// Makes a card in this state, kept in `path` if there is one, and inserts it: it calls `vpcd` on this port until
    /// that answers. `touch_limit` is how long it waits for a touch; a YubiKey waits 15 seconds.
    pub fn insert(
        state: State,
        path: Option<&std::path::Path>,
        port: u16,
        touch: Touch,
        touch_limit: Duration,
    ) -> Self {
        let hand = Hand {
            touch,
            is_inserted: true,
            is_waiting: false,
            is_touched: false,
            is_holding: false,
            has_ended: false,
            stream: None,
        };
        let moving = Arc::new(Moving { hand: Mutex::new(hand), moved: Condvar::new() });
        let mut card = Card::new(state, path.map(Into::into), moving.clone());
        card.touch_limit = touch_limit;
        let card = Arc::new(Mutex::new(card));
        let thread = {
            let (moving, card) = (moving.clone(), card.clone());
            std::thread::spawn(move || live(&moving, &card, port))
        };
        Self { moving, card, thread: Some(thread) }
    }

    /// Whether the card waits for a touch.
    pub fn is_waiting(&self) -> bool {
        lock(&self.moving.hand).is_waiting
    }

    /// Touches the card. False: it did not wait for that.
    pub fn touch(&self) -> bool {
        let mut hand = lock(&self.moving.hand);
        let is_waiting = hand.is_waiting;
        hand.is_touched = is_waiting;
        self.moving.moved.notify_all();
        is_waiting
    }

    /// Whether an answer is held back.
    pub fn is_holding(&self) -> bool {
        lock(&self.moving.hand).is_holding
    }

    /// Lets the answer go that is held back. False: there is none.
    pub fn let_go(&self) -> bool {
        let was_holding = std::mem::take(&mut lock(&self.moving.hand).is_holding);
        self.moving.moved.notify_all();
        was_holding
    }

    /// Says when it is touched from now on. A wait that has begun is not changed.
    pub fn touched(&self, touch: Touch) {
        lock(&self.moving.hand).touch = touch;
    }

    /// Pulls the card out; a reader notices within a second.
    pub fn pull(&self) {
        self.moving.pull();
    }

    /// Puts the card in again; a reader notices within a second.
    pub fn put_back(&self) {
        lock(&self.moving.hand).is_inserted = true;
        self.moving.moved.notify_all();
    }

    /// Whether the card is in the reader, and the reader knows.
    pub fn is_connected(&self) -> bool {
        lock(&self.moving.hand).stream.is_some()
    }

    /// Changes what is to go wrong. While the card waits for a touch, this waits too.
    pub fn fault(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut lock(&self.card).faults);
    }

    /// Looks at the card. While it waits for a touch, this waits too.
    pub fn card<T>(&self, look: impl FnOnce(&Card) -> T) -> T {
        look(&lock(&self.card))
    }
}

impl Moving {
    /// Holds an answer back until it is let go. False: the card was pulled instead.
    fn hold(&self) -> bool {
        let mut hand = lock(&self.hand);
        hand.is_holding = true;
        let is_held = |hand: &mut Hand| hand.is_holding && hand.is_inserted;
        let mut hand = self.moved.wait_while(hand, is_held).unwrap_or_else(PoisonError::into_inner);
        hand.is_holding = false;
        hand.is_inserted
    }

    fn pull(&self) {
        let mut hand = lock(&self.hand);
        hand.is_inserted = false;
        if let Some(stream) = hand.stream.take() {
            // The other end may be gone already.
            let _ = stream.shutdown(Shutdown::Both);
        }
        self.moved.notify_all();
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        lock(&self.moving.hand).has_ended = true;
        self.pull();
        if let Some(thread) = self.thread.take() {
            // A card that panicked has said so already.
            let _ = thread.join();
        }
    }
}

/// Is in the reader whenever it is inserted, until the end.
fn live(moving: &Moving, card: &Mutex<Card>, port: u16) {
    loop {
        let hand = lock(&moving.hand);
        let idle = |hand: &mut Hand| !hand.is_inserted && !hand.has_ended;
        let hand = moving.moved.wait_while(hand, idle).unwrap_or_else(PoisonError::into_inner);
        if hand.has_ended {
            return;
        }
        drop(hand);
        if let Ok(stream) = TcpStream::connect(("127.0.0.1", port)) {
            // Whatever ends a connection, the card is without power then, and goes on from the top.
            let _ = serve(moving, card, stream);
            lock(card).power_cycle();
            lock(&moving.hand).stream = None;
        }
        // vpcd is not there yet, or has just hung up.
        let hand = lock(&moving.hand);
        let pause = Duration::from_millis(50);
        drop(moving.moved.wait_timeout_while(hand, pause, |hand| !hand.has_ended));
    }
}

/// Answers the reader until it hangs up or the card is pulled.
fn serve(moving: &Moving, card: &Mutex<Card>, mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    {
        let mut hand = lock(&moving.hand);
        if !hand.is_inserted {
            return Ok(());
        }
        hand.stream = Some(stream.try_clone()?);
    }
    loop {
        acknowledge_at_once(&stream)?;
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut message)?;
        let answer = match message[..] {
            [4] => ATR.to_vec(),
            [0..=2] => {
                lock(card).power_cycle();
                continue;
            }
            _ => match command(moving, card, &message) {
                Some(answer) => answer,
                None => return Ok(()),
            },
        };
        let length = u16::try_from(answer.len()).map_err(io::Error::other)?;
        stream.write_all(&[&length.to_be_bytes()[..], &answer].concat())?;
    }
}

/// `vpcd` sends a length and then, once that is acknowledged, the message: with the usual delay of an acknowledgement each
/// command would take 40 milliseconds and more. The kernel forgets this after a while, so it is said for each message.
#[cfg(target_os = "linux")]
fn acknowledge_at_once(stream: &TcpStream) -> io::Result<()> {
    Ok(rustix::net::sockopt::set_tcp_quickack(stream, true)?)
}

/// Elsewhere commands take longer.
#[cfg(not(target_os = "linux"))]
fn acknowledge_at_once(_: &TcpStream) -> io::Result<()> {
    Ok(())
}

/// One command; nothing if the card was pulled over it.
fn command(moving: &Moving, card: &Mutex<Card>, message: &[u8]) -> Option<Vec<u8>> {
    let mut card = lock(card);
    let instruction = message.get(1).copied();
    if instruction.is_some() && card.faults.pull_before == instruction {
        card.faults.pull_before = None;
        moving.pull();
        return None;
    }
    let answer = card.transmit(message);
    if instruction.is_some() && card.faults.pull_after == instruction {
        card.faults.pull_after = None;
        moving.pull();
        return None;
    }
    if instruction.is_some() && card.faults.hold_after == instruction {
        card.faults.hold_after = None;
        drop(card);
        return moving.hold().then_some(answer);
    }
    Some(answer)
}
