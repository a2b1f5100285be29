//! The properties of a message to be sent, owned.
//!
//! Invariant: [`Properties::encode`] writes exactly what amq-protocol writes. Building does not
//! check lengths; [`Properties::check`] checks them once.

use amq_protocol::frame::WriteContext;
use amq_protocol::types::{FieldTable, generation::gen_field_table};

use crate::wire::cursor::check_shortstr;
use crate::wire::error::WireError;
use crate::wire::frame::{FrameKind, write_frame};
use crate::wire::properties::{IdOffsets, PropertiesView, encode, put_fixed};
use crate::wire::table::TableView;

/// The properties of a message to be sent.
///
/// ```
/// use leveret_engine::wire::Properties;
/// let properties = Properties::new()
///     .with_content_type("application/json")
///     .with_delivery_mode(2)
///     .with_message_id("42");
/// assert_eq!(properties.message_id(), Some("42"));
/// assert_eq!(properties.check(), Ok(()));
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Properties {
    content_type: Option<String>,
    content_encoding: Option<String>,
    headers: Option<FieldTable>,
    delivery_mode: Option<u8>,
    priority: Option<u8>,
    correlation_id: Option<String>,
    reply_to: Option<String>,
    expiration: Option<String>,
    message_id: Option<String>,
    timestamp: Option<u64>,
    kind: Option<String>,
    user_id: Option<String>,
    app_id: Option<String>,
    cluster_id: Option<String>,
}

/// Defines builder and getter of each text property.
macro_rules! text_properties {
    ($($(#[$doc:meta])* $name:ident $with:ident;)*) => { $(
        $(#[$doc])*
        #[must_use]
        pub fn $with(mut self, value: impl Into<String>) -> Self {
            self.$name = Some(value.into());
            self
        }

        $(#[$doc])*
        #[must_use]
        pub fn $name(&self) -> Option<&str> {
            self.$name.as_deref()
        }
    )* };
}

/// Defines builder and getter of each number property.
macro_rules! number_properties {
    ($($(#[$doc:meta])* $name:ident $with:ident $number:ty;)*) => { $(
        $(#[$doc])*
        #[must_use]
        pub fn $with(mut self, value: $number) -> Self {
            self.$name = Some(value);
            self
        }

        $(#[$doc])*
        #[must_use]
        pub fn $name(&self) -> Option<$number> {
            self.$name
        }
    )* };
}

impl Properties {
    /// Creates properties without any value.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    text_properties! {
        /// MIME type of the body.
        content_type with_content_type;
        /// MIME encoding of the body.
        content_encoding with_content_encoding;
        /// The application's correlation id.
        correlation_id with_correlation_id;
        /// The queue that replies should go to.
        reply_to with_reply_to;
        /// Time to live in milliseconds, as decimal text.
        expiration with_expiration;
        /// The application's message id.
        message_id with_message_id;
        /// `type`, a name for the kind of message.
        kind with_kind;
        /// The publishing user; RabbitMQ refuses another user than the connection's.
        user_id with_user_id;
        /// The publishing application.
        app_id with_app_id;
        /// Reserved.
        cluster_id with_cluster_id;
    }

    number_properties! {
        /// 1: transient, may be lost with the broker; 2: persistent.
        delivery_mode with_delivery_mode u8;
        /// 0 to 9, for queues with priorities.
        priority with_priority u8;
        /// Seconds since 1970.
        timestamp with_timestamp u64;
    }

    /// The application's headers table.
    #[must_use]
    pub fn with_headers(mut self, headers: FieldTable) -> Self {
        self.headers = Some(headers);
        self
    }

    /// The application's headers table.
    #[must_use]
    pub fn headers(&self) -> Option<&FieldTable> {
        self.headers.as_ref()
    }

    /// Checks that every text fits the protocol.
    ///
    /// # Errors
    /// [`WireError::ShortStringTooLong`].
    pub fn check(&self) -> Result<(), WireError> {
        let view = self.without_headers();
        [
            view.content_type,
            view.content_encoding,
            view.correlation_id,
            view.reply_to,
            view.expiration,
            view.message_id,
            view.kind,
            view.user_id,
            view.app_id,
            view.cluster_id,
        ]
        .into_iter()
        .flatten()
        .try_for_each(check_shortstr)
    }

    /// Appends flags and properties.
    ///
    /// # Panics
    /// If a text is longer than 255 bytes, see [`Properties::check`].
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.encode_with_offsets(out);
    }

    /// Appends the whole header frame on `channel`, for a body of `body_size` bytes.
    ///
    /// # Panics
    /// As [`Properties::encode`].
    pub fn encode_frame(&self, channel: u16, body_size: u64, out: &mut Vec<u8>) {
        write_frame(out, FrameKind::Header, channel, |out| {
            self.encode_payload(body_size, out);
        });
    }

    pub(in crate::wire) fn encode_payload(&self, body_size: u64, out: &mut Vec<u8>) -> IdOffsets {
        put_fixed(out, body_size);
        self.encode_with_offsets(out)
    }

    fn encode_with_offsets(&self, out: &mut Vec<u8>) -> IdOffsets {
        // An empty table sets the flag of the headers; the closure writes their bytes.
        let headers = self.headers.as_ref().map(|_| TableView::default());
        let view = PropertiesView { headers, ..self.without_headers() };
        encode(&view, out, |out| {
            if let Some(headers) = &self.headers {
                put_table(out, headers);
            }
        })
    }

    fn without_headers(&self) -> PropertiesView<'_> {
        PropertiesView {
            content_type: self.content_type.as_deref(),
            content_encoding: self.content_encoding.as_deref(),
            headers: None,
            delivery_mode: self.delivery_mode,
            priority: self.priority,
            correlation_id: self.correlation_id.as_deref(),
            reply_to: self.reply_to.as_deref(),
            expiration: self.expiration.as_deref(),
            message_id: self.message_id.as_deref(),
            timestamp: self.timestamp,
            kind: self.kind.as_deref(),
            user_id: self.user_id.as_deref(),
            app_id: self.app_id.as_deref(),
            cluster_id: self.cluster_id.as_deref(),
        }
    }
}

impl PropertiesView<'_> {
    /// Converts the properties to an owned value.
    #[must_use]
    pub fn to_owned(&self) -> Properties {
        let text = |text: Option<&str>| text.map(str::to_owned);
        Properties {
            content_type: text(self.content_type),
            content_encoding: text(self.content_encoding),
            headers: self.headers.map(|headers| headers.to_table()),
            delivery_mode: self.delivery_mode,
            priority: self.priority,
            correlation_id: text(self.correlation_id),
            reply_to: text(self.reply_to),
            expiration: text(self.expiration),
            message_id: text(self.message_id),
            timestamp: self.timestamp,
            kind: text(self.kind),
            user_id: text(self.user_id),
            app_id: text(self.app_id),
            cluster_id: text(self.cluster_id),
        }
    }
}

/// Appends an owned table, its length first, through amq-protocol.
fn put_table(out: &mut Vec<u8>, table: &FieldTable) {
    let context = WriteContext::from(std::mem::take(out));
    let (written, _) =
        gen_field_table(table)(context).expect("writing to memory does not fail").into_inner();
    *out = written;
}
