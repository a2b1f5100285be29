//! What came in, as text: where a delivery of the broker meets the dialect's rules.

use std::borrow::Cow;

use leveret_engine::Delivery;

use crate::broker;
use crate::dialect::{DecodeError, kombu};

/// A message's text, unpacked, if it is text by its own account.
#[inline]
pub(crate) fn text_of(delivery: &Delivery) -> Result<Cow<'_, [u8]>, DecodeError> {
    let properties = delivery.properties();
    kombu::check_content(properties.content_type)?;
    kombu::unpack(broker::compression(&properties), delivery.body().contiguous())
}
