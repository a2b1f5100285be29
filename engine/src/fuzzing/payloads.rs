//! Payloads of frames, decoded and encoded again, and compared with amq-protocol.

use amq_protocol::frame::{AMQPFrame, WriteContext, parse_frame};
use amq_protocol::protocol::parse_class;
use amq_protocol::types::generation::gen_field_table;
use amq_protocol::types::parsing::parse_field_table;

use crate::wire::cursor::put_longstr;
use crate::wire::{
    ArrayView, ContentHeader, FrameHeader, FrameKind, HotMethod, TABLE_DEPTH_MAX, TableView,
    ValueView, WireError, encode_method_frame, parse_method, print, write_frame,
};

/// Decodes the payload of a method frame, hot and cold, and compares with amq-protocol.
pub fn methods(data: &[u8]) {
    let cold = parse_method(data);
    match HotMethod::parse(data) {
        Ok(Some(hot)) => {
            let cold = cold.as_ref().expect("amq-protocol reads every hot method");
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            encode_hot(&hot, &mut ours);
            encode_method_frame(&mut theirs, 7, cold);
            assert_eq!(ours, theirs);
            let payload = &ours[FrameHeader::LEN..ours.len() - 1];
            assert_eq!(HotMethod::parse(payload), Ok(Some(hot)));
        }
        Ok(None) => {}
        Err(_) => assert!(cold.is_err()),
    }
    if !matches!(cold, Err(WireError::TableTooDeep { .. })) {
        let theirs = parse_class(data).ok().filter(|(rest, _)| rest.is_empty());
        // Compared as text: a number may be NaN, which equals nothing.
        let theirs = theirs.map(|(_, method)| format!("{method:?}"));
        assert_eq!(cold.as_ref().ok().map(|method| format!("{method:?}")), theirs);
    }
    if let Ok(method) = &cold {
        let mut frame = Vec::new();
        encode_method_frame(&mut frame, 7, method);
        let again = parse_method(&frame[FrameHeader::LEN..frame.len() - 1]);
        assert_eq!(format!("{again:?}"), format!("{cold:?}"));
    }
    let mut frame = Vec::new();
    write_frame(&mut frame, FrameKind::Method, 1, |out| out.extend_from_slice(data));
    assert_eq!(print(&frame).lines().count(), 1);
}

fn encode_hot(method: &HotMethod<'_>, out: &mut Vec<u8>) {
    match method {
        HotMethod::Publish(method) => method.encode_frame(7, out),
        HotMethod::Deliver(method) => method.encode_frame(7, out),
        HotMethod::Return(method) => method.encode_frame(7, out),
        HotMethod::Ack(method) => method.encode_frame(7, out),
        HotMethod::Nack(method) => method.encode_frame(7, out),
        HotMethod::Reject(method) => method.encode_frame(7, out),
    }
}

/// Reads the content of a table, and compares with amq-protocol.
pub fn tables(data: &[u8]) {
    let read_by_oracle = |content: &[u8]| {
        let mut bytes = Vec::new();
        put_longstr(&mut bytes, content);
        let read = parse_field_table(&bytes[..]).ok().filter(|(rest, _)| rest.is_empty());
        read.map(|(_, table)| table)
    };
    let view = TableView::parse(data);
    if view == Err(WireError::TableTooDeep { max: TABLE_DEPTH_MAX }) {
        return;
    }
    let theirs = read_by_oracle(data);
    let Ok(view) = view else {
        assert_eq!(theirs, None);
        return;
    };
    let ours = view.to_table();
    assert_eq!(Some(format!("{ours:?}")), theirs.map(|table| format!("{table:?}")));
    assert!(table_depth(view) <= TABLE_DEPTH_MAX);
    for (key, value) in ours.inner() {
        let found = view.get(key.as_str()).map(|found| found.to_value());
        assert_eq!(format!("{found:?}"), format!("{:?}", Some(value)));
    }
    let (written, _) = gen_field_table(&ours)(WriteContext::from(Vec::new()))
        .expect("writing to memory does not fail")
        .into_inner();
    let again = TableView::parse(&written[4..]).map(|view| view.to_table());
    assert_eq!(format!("{again:?}"), format!("{:?}", Ok::<_, WireError>(ours)));
}

fn table_depth(table: TableView<'_>) -> usize {
    1 + table.iter().map(|(_, value)| value_depth(value)).max().unwrap_or_default()
}

fn value_depth(value: ValueView<'_>) -> usize {
    let in_array = |array: ArrayView<'_>| array.iter().map(value_depth).max().unwrap_or_default();
    match value {
        ValueView::Table(table) => table_depth(table),
        ValueView::Array(array) => 1 + in_array(array),
        _ => 0,
    }
}

/// Reads the payload of a content header, writes it again, and compares with amq-protocol.
pub fn properties(data: &[u8]) {
    let Ok(header) = ContentHeader::parse(data) else { return };
    let mut frame = Vec::new();
    header.encode_frame(3, &mut frame);
    let payload = &frame[FrameHeader::LEN..frame.len() - 1];
    assert_eq!((&payload[..2], &payload[4..]), (&data[..2], &data[4..]), "all but the weight");
    assert_eq!(ContentHeader::parse(payload), Ok(header));
    let Ok(([], AMQPFrame::Header(3, theirs))) = parse_frame(&frame[..]) else {
        panic!("amq-protocol reads what the engine reads");
    };
    assert_eq!(theirs.body_size, header.body_size);
    let theirs = theirs.properties;
    macro_rules! compare {
        ($($ours:ident $theirs:ident),*) => { $(
            let text = theirs.$theirs().as_ref().map(|text| text.as_str());
            assert_eq!(header.properties.$ours, text);
        )* };
    }
    compare!(content_type content_type, content_encoding content_encoding, reply_to reply_to);
    compare!(correlation_id correlation_id, expiration expiration, message_id message_id);
    compare!(kind kind, user_id user_id, app_id app_id, cluster_id cluster_id);
    let ours = header.properties.headers.map(|headers| headers.to_table());
    assert_eq!(format!("{ours:?}"), format!("{:?}", theirs.headers()));
    assert_eq!(header.properties.delivery_mode, *theirs.delivery_mode());
    assert_eq!(header.properties.priority, *theirs.priority());
    assert_eq!(header.properties.timestamp, *theirs.timestamp());
}
