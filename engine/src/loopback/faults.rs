//! Faults on demand: the loopback peer as the scripted broker of tests.
//!
//! A [`Script`] holds lasting faults (delays, silence, refusals); methods of [`Loopback`] cause
//! single ones (garbage, a close, a cut). They insert bytes only between whole frames, so no other
//! fault occurs.

use crate::loopback::broker::refusal::Refusal;
use crate::loopback::broker::state::Broker;
use crate::loopback::config::{ConnectionId, RefusedDeclare, Script};
use crate::loopback::connection::state::{Connection, Phase};
use crate::loopback::server::Loopback;
use crate::wire::frame::{FRAME_END, FrameKind, put_frame_header, write_frame};

impl Loopback {
    /// Changes the script, with effect from the next frame on.
    pub fn script(&self, change: impl FnOnce(&mut Script)) {
        self.with_broker(|broker| {
            change(&mut broker.script);
            let delay = broker.script.delay;
            broker.connections().for_each(|connection| connection.out.set_delay(delay));
        });
    }

    /// Refuses every declaration of `name` with this reply code and text.
    pub fn refuse_declare(&self, name: &str, code: u16, text: &str) {
        let refused = RefusedDeclare { name: name.to_owned(), code, text: text.to_owned() };
        self.script(|script| script.refused_declares.push(refused));
    }

    /// Blocks publishers as RabbitMQ's resource alarms do: the broker notifies clients that support
    /// it, and stops reading a connection after its next publication.
    pub fn block_publishers(&self, reason: &str) {
        self.with_broker(|broker| {
            broker.blocked = Some(reason.to_owned());
            for id in ids(broker, |_| true) {
                broker.send_blocked(id, reason);
            }
        });
    }

    /// Ends [`Loopback::block_publishers`].
    pub fn unblock_publishers(&self) {
        self.with_broker(|broker| {
            broker.blocked = None;
            for id in ids(broker, |_| true) {
                broker.send_unblocked(id);
            }
        });
        self.shared.unblocked.notify_all();
    }

    /// Sets the frame size offered to later connections.
    pub fn set_frame_max(&self, frame_max: u32) {
        self.with_broker(|broker| broker.config.frame_max = frame_max);
    }

    /// Removes a queue from its virtual host and keeps its consumers, without notifying them. A
    /// cluster does that to a transient queue that was declared again while it cleans up after a
    /// dead node. Returns true if the queue existed.
    pub fn lose_queue(&self, vhost: &str, queue: &str) -> bool {
        self.with_broker(|broker| {
            let vhost = broker.vhosts.iter_mut().find(|other| other.name == vhost);
            vhost.is_some_and(|vhost| vhost.queues.remove(queue).is_some())
        })
    }

    /// Cuts every connection and discards the bytes that are still to be sent.
    pub fn drop_connections(&self) {
        self.with_broker(|broker| {
            broker.connections().for_each(|connection| connection.out.kill())
        });
    }

    /// Closes every open connection with this reply code and text, as an operator would.
    pub fn close_connections(&self, code: u16, text: &str) {
        self.with_broker(|broker| {
            for id in ids(broker, |connection| connection.phase == Phase::Running) {
                let refusal = Refusal { code, text: text.to_owned() };
                broker.close_connection(id, (0, 0), &refusal);
            }
        });
    }

    /// Closes every open channel with this reply code and text.
    ///
    /// # Panics
    /// If `code` closes connections: only 311 to 313 and 403 to 406 are channel errors.
    pub fn close_channels(&self, code: u16, text: &str) {
        let refusal = Refusal { code, text: text.to_owned() };
        assert!(refusal.is_soft(), "{code} is no channel error");
        self.with_broker(|broker| {
            for id in ids(broker, |connection| connection.phase == Phase::Running) {
                for number in open_channels(broker, id) {
                    broker.refuse(id, number, (0, 0), &refusal);
                }
            }
        });
    }

    /// Sends raw bytes to every connection, between two frames.
    pub fn send_raw(&self, bytes: &[u8]) {
        self.with_broker(|broker| {
            for id in ids(broker, |_| true) {
                broker.connection_mut(id).pending.extend_from_slice(bytes);
                broker.mark_dirty(id);
            }
        });
    }

    /// Sends bytes that are not a frame.
    pub fn send_garbage(&self) {
        self.send_raw(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    }

    /// Sends a heartbeat with a wrong end octet.
    pub fn send_bad_frame_end(&self) {
        self.send_raw(&[8, 0, 0, 0, 0, 0, 0, !FRAME_END]);
    }

    /// Sends to every connection a body frame one byte larger than agreed.
    pub fn send_oversized_frame(&self) {
        self.with_broker(|broker| {
            for id in ids(broker, |connection| connection.phase == Phase::Running) {
                let connection = broker.connection_mut(id);
                let size = connection.frame_max - 7;
                put_frame_header(&mut connection.pending, FrameKind::Body, 1, size);
                let end = connection.pending.len() + size as usize;
                connection.pending.resize(end, 0);
                connection.pending.push(FRAME_END);
                broker.mark_dirty(id);
            }
        });
    }

    /// Sends a method that AMQP 0-9-1 does not define, on channel 0.
    pub fn send_unknown_method(&self) {
        let mut frame = Vec::new();
        write_frame(&mut frame, FrameKind::Method, 0, |out| {
            out.extend_from_slice(&[0, 10, 3, 231]);
        });
        self.send_raw(&frame);
    }
}

fn ids(broker: &mut Broker, wanted: impl Fn(&Connection) -> bool) -> Vec<ConnectionId> {
    let connections = broker.connections();
    connections.filter(|connection| wanted(connection)).map(|connection| connection.id).collect()
}

fn open_channels(broker: &mut Broker, id: ConnectionId) -> Vec<u16> {
    let channels = broker.connection_mut(id).channels.iter().enumerate();
    let open = channels.filter(|(_, slot)| slot.as_ref().is_some_and(|it| !it.is_closing));
    open.map(|(number, _)| u16::try_from(number).expect("channel numbers have 16 bits")).collect()
}
