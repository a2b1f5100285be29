//! The words of options about dialects and requests: the dialect, the serialisation of bodies,
//! acknowledgements and confirms, the limits of connections.

use crate::codec::serialization::Serialization;
use crate::config::options::acknowledgements::{CallConfirms, RequestAcks};
use crate::config::options::dialects::{Redelivered, SendingDialect, ServingDialect};
use crate::config::options::factory::ConnectionFactory;
use crate::config::registry::choices::{SetResult, words};
use crate::config::registry::settings::Settings;
use crate::config::registry::value::{Choice, list};

/// The channels that one transport may need on a connection.
const CHANNEL_MAX_LEAST: u16 = 16;
/// The minimum that RabbitMQ accepts, and its default, which is the most that it negotiates.
const FRAME_MAX_LEAST: u32 = 8192;
const FRAME_MAX_MOST: u32 = 131_072;

pub(crate) const DIALECT_SERVING: Choice = words! {
    driver.serving accepts "kombu, pika or both, or nothing: by the URL's scheme":
    "" => { None }
    "kombu" => { Some(ServingDialect::Kombu) }
    "pika" => { Some(ServingDialect::Pika) }
    "both" => { Some(ServingDialect::Both) }
};

pub(crate) const DIALECT_SENDING: Choice = words! {
    driver.sending accepts "kombu, pika or auto, or nothing: by the URL's scheme":
    "" => { None }
    "kombu" => { Some(SendingDialect::Kombu) }
    "pika" => { Some(SendingDialect::Pika) }
    "auto" => { Some(SendingDialect::Auto) }
};

pub(crate) const REDELIVERED: Choice = words! {
    driver.redelivered accepts "dispatch or refuse":
    "dispatch" => { Redelivered::Dispatch }
    "refuse" => { Redelivered::Refuse }
};

pub(crate) const CALL_CONFIRMS: Choice = words! {
    driver.call_confirms accepts "each or together":
    "each" => { CallConfirms::Each }
    "together" => { CallConfirms::Together }
};

pub(crate) const REQUEST_ACKS: Choice = words! {
    driver.request_acks accepts "each or together":
    "each" => { RequestAcks::Each }
    "together" => { RequestAcks::Together }
};

/// Custom serialisations are set in code only.
pub(crate) const SERIALIZER_TYPE: Choice = Choice {
    set: |settings, word| {
        settings.driver.pika.serialization = match word {
            "json" => Serialization::Json,
            "msgpack" => Serialization::MsgPack,
            _ => return Err("json or msgpack"),
        };
        Ok(())
    },
    get: |settings| match &settings.driver.pika.serialization {
        Serialization::Json => "json".to_owned(),
        Serialization::MsgPack => "msgpack".to_owned(),
        custom @ Serialization::Custom(_) => custom.content_type().to_owned(),
    },
};

/// A dictionary of oslo: `key:value`, separated by commas.
pub(crate) const SSL_OPTIONS: Choice = Choice {
    set: |settings, text| {
        const ACCEPTED: &str = "ca_certs:<path>, certfile:<path> and keyfile:<path>, separated by \
                                commas; certificates are verified unless ssl_verify is false";
        let pika = &mut settings.driver.pika;
        for item in list(text) {
            let (key, path) = item.split_once(':').ok_or(ACCEPTED)?;
            let field = match key.trim() {
                "ca_certs" => &mut pika.ssl_ca_certs,
                "certfile" => &mut pika.ssl_certfile,
                "keyfile" => &mut pika.ssl_keyfile,
                _ => return Err(ACCEPTED),
            };
            *field = Some(path.trim().into());
        }
        Ok(())
    },
    get: |settings| {
        let pika = &settings.driver.pika;
        let files = [
            ("ca_certs", &pika.ssl_ca_certs),
            ("certfile", &pika.ssl_certfile),
            ("keyfile", &pika.ssl_keyfile),
        ];
        let items = files.into_iter().filter_map(|(key, path)| {
            path.as_ref().map(|path| format!("{key}:{}", path.display()))
        });
        items.collect::<Vec<_>>().join(",")
    },
};

pub(crate) const CHANNEL_MAX: Choice =
    Choice { set: parse_channel_max, get: |settings| format(settings.driver.pika.channel_max) };

fn parse_channel_max(settings: &mut Settings, text: &str) -> SetResult {
    settings.driver.pika.channel_max = match text.trim() {
        "" => None,
        text => {
            let number = text.parse().ok().filter(|number| *number >= CHANNEL_MAX_LEAST);
            Some(number.ok_or("a whole number from 16 to 65535, or nothing")?)
        }
    };
    Ok(())
}

pub(crate) const FRAME_MAX: Choice =
    Choice { set: parse_frame_max, get: |settings| format(settings.driver.pika.frame_max) };

fn parse_frame_max(settings: &mut Settings, text: &str) -> SetResult {
    settings.driver.pika.frame_max = match text.trim() {
        "" => None,
        text => {
            let bounds = FRAME_MAX_LEAST..=FRAME_MAX_MOST;
            let bytes = text.parse().ok().filter(|bytes| bounds.contains(bytes));
            Some(bytes.ok_or("bytes, from 8192 to 131072, or nothing")?)
        }
    };
    Ok(())
}

pub(crate) const CONNECTION_FACTORY: Choice = Choice {
    set: |settings, text| {
        let accepted = "single, read_write, new, pool:<1 to 256> or per_shard, or nothing";
        settings.driver.connection_factory =
            parse_factory(text, ConnectionFactory::from_name, accepted)?;
        Ok(())
    },
    get: |settings| format(settings.driver.connection_factory),
};

pub(crate) const PIKA_CONNECTION_FACTORY: Choice = Choice {
    set: |settings, text| {
        let accepted = "single, read_write or new, or nothing; [leveret] knows more of them";
        settings.driver.pika.connection_factory =
            parse_factory(text, ConnectionFactory::from_oslo_name, accepted)?;
        Ok(())
    },
    get: |settings| format(settings.driver.pika.connection_factory),
};

fn parse_factory(
    text: &str,
    parse: fn(&str) -> Option<ConnectionFactory>,
    accepted: &'static str,
) -> Result<Option<ConnectionFactory>, &'static str> {
    match text {
        "" => Ok(None),
        text => parse(text).map(Some).ok_or(accepted),
    }
}

/// An optional value as text; empty for none.
fn format<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}
