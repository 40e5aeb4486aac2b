//! Holds protocol.md and the crate together: every vector, every table, every cited section.
//!
//! ```text
//!  protocol.md --document--> blocks --vector--> bytes + annotation --+
//!       |                                                            |== must agree, or the text is wrong
//!       +--document--> tables            bytes --decode--> --dump--> +
//! ```
//!
//! When a vector's annotation is wrong, the failure prints the right one.

#[path = "protocol_md/document.rs"]
mod document;
#[path = "protocol_md/dump.rs"]
mod dump;
#[path = "protocol_md/notation.rs"]
mod notation;
#[path = "protocol_md/vector.rs"]
mod vector;

use dump::Field;
use fanwire_wire::frame::{EXTENSIONS, KINDS, split_frame};
use fanwire_wire::limits::*;
use fanwire_wire::topic::check_group;
use fanwire_wire::{
    ClientPreface, Code, Decoded, Direction, Extensions, Frame, Inbox, Limits, Retry, ServerPreface, TopicFilter,
    TopicName, Violation, decode,
};
use notation::{hex_of_bytes, take_quoted};
use std::collections::BTreeSet;
use vector::{Line, Vector};

/// A frame off the front of a stream and the bytes it took; `None` when more are needed.
fn decode_stream(bytes: &[u8], towards: Direction) -> Result<Option<(Decoded<'_>, usize)>, Violation> {
    let Some((frame, size)) = split_frame(bytes, Limits::default().frame_bytes_max)? else {
        return Ok(None);
    };
    Ok(Some((decode(frame, towards)?, size)))
}

fn encode(decoded: &Decoded<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    decoded.frame.encode_with(decoded.extensions, &mut bytes);
    bytes
}

/// The fields of a valid vector as the crate sees them.
fn fields_of(vector: &Vector, bytes: &[u8]) -> Vec<Field> {
    let complain = |wrong: &dyn std::fmt::Debug| panic!("{}: {wrong:?}", vector.name);
    if vector.is_preface() {
        return match vector.towards() {
            Direction::ToBroker => match ClientPreface::decode(bytes) {
                Ok(Some(preface)) => dump::client_preface(preface),
                other => complain(&other),
            },
            _ => match ServerPreface::decode(bytes) {
                Ok(Some(preface)) => dump::server_preface(preface),
                other => complain(&other),
            },
        };
    }
    match decode_stream(bytes, vector.towards()) {
        Ok(Some((decoded, size))) if size == bytes.len() => {
            assert_eq!(decoded.frame.kind().name, vector.frame, "{}", vector.name);
            dump::frame(&decoded)
        }
        other => complain(&other),
    }
}

/// The annotation that a vector should have.
fn annotation(fields: &[Field]) -> String {
    let lines =
        fields.iter().map(|field| format!("{:<35} ; {} = {}\n", hex_of_bytes(&field.bytes), field.name, field.value));
    lines.collect()
}

#[test]
fn every_valid_vector_decodes_to_the_fields_beside_it() {
    for vector in vector::valid() {
        let fields = fields_of(&vector, &vector.bytes());
        let told = fields
            .iter()
            .map(|field| Line { bytes: field.bytes.clone(), comment: format!("{} = {}", field.name, field.value) });
        let told: Vec<_> = told.collect();
        assert!(told == vector.lines, "{}: the dump should be\n{}", vector.name, annotation(&fields));
    }
}

#[test]
fn every_valid_vector_encodes_back_to_its_bytes() {
    for vector in vector::valid() {
        let bytes = vector.bytes();
        let again = match (vector.is_preface(), vector.towards()) {
            (true, Direction::ToBroker) => ClientPreface::decode(&bytes).unwrap().unwrap().encode().to_vec(),
            (true, _) => ServerPreface::decode(&bytes).unwrap().unwrap().encode().to_vec(),
            (false, towards) => encode(&decode_stream(&bytes, towards).unwrap().unwrap().0),
        };
        assert_eq!(again, bytes, "{}", vector.name);
    }
}

#[test]
fn a_valid_vector_cut_short_waits_for_more() {
    for vector in vector::valid() {
        let bytes = vector.bytes();
        for cut in 0..bytes.len() {
            let front = &bytes[..cut];
            if vector.is_preface() {
                assert_eq!(ClientPreface::decode(front), Ok(None), "{} cut at {cut}", vector.name);
                assert_eq!(ServerPreface::decode(front), Ok(None), "{} cut at {cut}", vector.name);
                continue;
            }
            assert_eq!(decode_stream(front, vector.towards()), Ok(None), "{} cut at {cut}", vector.name);
            let mut inbox = Inbox::default();
            for mut piece in [front, &[]] {
                assert_eq!(inbox.next_frame(&mut piece, u32::MAX), Ok(None), "{} cut at {cut}", vector.name);
            }
            assert_eq!(
                inbox.next_frame(&mut &bytes[cut..], u32::MAX),
                Ok(split_frame(&bytes, u32::MAX).unwrap().map(|(frame, _)| frame))
            );
        }
    }
}

/// Whatever these bytes decode to must encode back to them.
fn assert_canonical(bytes: &[u8], told: &dyn Fn() -> String) {
    for towards in [Direction::ToBroker, Direction::ToClient] {
        if let Ok(Some((decoded, size))) = decode_stream(bytes, towards) {
            assert_eq!(encode(&decoded), &bytes[..size], "{}", told());
        }
    }
}

#[test]
fn a_frame_cut_short_under_a_length_that_fits_has_one_encoding_or_none() {
    for vector in vector::valid().iter().filter(|vector| !vector.is_preface()) {
        let bytes = vector.bytes();
        let (body, _) = split_frame(&bytes, u32::MAX).unwrap().unwrap();
        for cut in 1..body.len() {
            let mut stream = Vec::new();
            let mut rest = cut;
            while rest > 0x7F {
                stream.push((rest % 0x80) as u8 | 0x80);
                rest /= 0x80;
            }
            stream.push(rest as u8);
            stream.extend_from_slice(&body[..cut]);
            assert_canonical(&stream, &|| format!("{} cut at {cut}", vector.name));
        }
    }
}

#[test]
fn a_frame_with_a_bit_turned_over_has_one_encoding_or_none() {
    for vector in vector::all() {
        let bytes = vector.bytes();
        for bit in 0..bytes.len() * 8 {
            let mut stream = bytes.clone();
            stream[bit / 8] ^= 1 << (bit % 8);
            if let (true, Ok(Some(preface))) = (vector.is_preface(), ClientPreface::decode(&stream)) {
                assert_eq!(preface.encode().as_slice(), stream, "{} with bit {bit} turned over", vector.name);
            }
            assert_canonical(&stream, &|| format!("{} with bit {bit} turned over", vector.name));
        }
    }
}

#[test]
fn every_invalid_vector_is_refused_with_its_code() {
    for vector in vector::invalid() {
        let bytes = vector.bytes();
        if let (false, Ok(Some((_, size)))) = (vector.is_preface(), split_frame(&bytes, u32::MAX)) {
            assert_eq!(size, bytes.len(), "{}: the length is not what is wrong", vector.name);
        }
        let outcome = match (vector.is_preface(), vector.towards()) {
            (true, Direction::ToBroker) => ClientPreface::decode(&bytes).map(|_| ()),
            (true, _) => ServerPreface::decode(&bytes).map(|_| ()),
            (false, towards) => decode_stream(&bytes, towards).map(|_| ()),
        };
        let Err(Violation(code)) = outcome else { panic!("{}: is not refused", vector.name) };
        assert_eq!(code.name(), vector.error, "{}", vector.name);
    }
}

#[test]
fn every_violation_that_decoding_can_give_has_a_vector() {
    let shown: BTreeSet<_> = vector::invalid().iter().map(|vector| vector.error).collect();
    let given = Code::ALL.iter().filter(|code| **code <= Code::UnknownCriticalExtension);
    assert_eq!(shown, given.map(|code| code.name()).collect());
}

#[test]
fn vectors_have_names_of_their_own() {
    let mut names = BTreeSet::new();
    for vector in vector::all() {
        assert!(names.insert(vector.name), "two vectors are called {:?}", vector.name);
    }
}

#[test]
fn every_kind_has_a_vector_with_each_thing_it_may_carry() {
    let vectors = vector::valid();
    let kind_bytes: Vec<_> = vectors
        .iter()
        .filter(|vector| !vector.is_preface())
        .map(|vector| split_frame(&vector.bytes(), u32::MAX).unwrap().unwrap().0[0])
        .collect();
    for kind in KINDS {
        assert!(kind_bytes.contains(&kind.code), "no plain vector of {}", kind.name);
        if kind.carries_headers {
            assert!(kind_bytes.contains(&(kind.code | 0x80)), "no vector of {} with headers", kind.name);
        }
    }
    assert!(kind_bytes.iter().any(|byte| byte & 0xC0 == 0x40), "no vector with extensions alone");
    assert!(kind_bytes.iter().any(|byte| byte & 0xC0 == 0xC0), "no vector with headers and extensions");
    for to in ["broker", "client"] {
        assert!(vectors.iter().any(|vector| vector.is_preface() && vector.to == to), "no preface to the {to}");
    }
}

#[test]
fn the_table_of_kinds_is_the_codes() {
    let ours = KINDS.iter().map(|kind| {
        let sent_by = match kind.direction {
            Direction::ToBroker => "client",
            Direction::ToClient => "broker",
            Direction::Both => "both",
        };
        let headers = if kind.carries_headers { "yes" } else { "no" };
        [format!("0x{:02X}", kind.code), kind.name.to_owned(), sent_by.to_owned(), headers.to_owned()]
    });
    assert_eq!(document::table(["Kind", "Name", "Sent by", "Headers"]), ours.collect::<Vec<_>>());
}

#[test]
fn the_table_of_extensions_is_the_registry() {
    let ours = EXTENSIONS.iter().map(|extension| {
        let names = extension.frames.iter().map(|code| KINDS[usize::from(*code) - 1].name);
        let value = ["none", "u64", "u64, u64"][extension.value_bytes / 8];
        let critical = if extension.critical { "yes" } else { "no" };
        let [number, name] = [extension.number.to_string(), extension.name.to_owned()];
        [number, name, names.collect::<Vec<_>>().join(", "), critical.to_owned(), value.to_owned()]
    });
    let mut rows = document::table(["Number", "Name", "In", "Critical", "Value"]);
    rows.retain(|[_, name, ..]| !name.is_empty());
    assert_eq!(rows, ours.collect::<Vec<_>>());
}

#[test]
fn the_table_of_codes_is_the_registry() {
    let ours = Code::ALL.iter().map(|code| {
        let retry = match code.retry() {
            Retry::Never => "never".to_owned(),
            Retry::Now => "now".to_owned(),
            Retry::After(delay_ms) => format!("after {delay_ms} ms"),
        };
        [code.number().to_string(), code.name().to_owned(), retry]
    });
    assert_eq!(document::table(["Number", "Name", "Retry"]), ours.collect::<Vec<_>>());
}

#[test]
fn the_table_of_limits_is_the_defaults() {
    let ours = dump::limits(&Limits::default());
    let ours = ours.iter().map(|(name, _, value, kind)| [(*name).to_owned(), (*kind).to_owned(), value.to_string()]);
    assert_eq!(document::table(["Limit", "Type", "Default"]), ours.collect::<Vec<_>>());
}

#[test]
fn the_table_of_bounds_is_the_constants() {
    let ours = [
        ("length prefix", (FRAME_BYTES_CEILING + DELIVERY_BYTES_EXTRA) as usize),
        ("frame_bytes_max, at the most", FRAME_BYTES_CEILING as usize),
        ("frame before WELCOME", HELLO_BYTES_MAX as usize),
        ("frame to a client beyond frame_bytes_max", DELIVERY_BYTES_EXTRA as usize),
        ("topic_bytes_max, at the most", TOPIC_BYTES_CEILING.into()),
        ("topic_levels_max, at the most", TOPIC_LEVELS_CEILING.into()),
        ("filter_plus_max, at the most", FILTER_PLUS_CEILING.into()),
        ("group name", GROUP_BYTES_MAX),
        ("client_name, client_version, server_name", AGENT_BYTES_MAX),
        ("credentials", CREDENTIALS_BYTES_MAX),
        ("text of ERROR and GOAWAY", TEXT_BYTES_MAX),
        ("extension area", u16::MAX.into()),
    ];
    let ours: Vec<_> = ours.iter().map(|(name, value)| [(*name).to_owned(), value.to_string()]).collect();
    assert_eq!(document::table(["Bound", "Value"]), ours);
}

/// Bytes of a type that has a fixed size.
fn size_of_type(kind: &str) -> Option<usize> {
    match kind {
        "u8" => Some(1),
        "u16" => Some(2),
        "u32" => Some(4),
        "u64" => Some(8),
        "blob" | "text" | "rest" => None,
        other => panic!("{other:?} is no type of section 4.1"),
    }
}

/// Every field of the frame stands in its layout table, in that order, at that offset, with that size. Gives the
/// rows it used.
fn check_layout(rows: &[Vec<&'static str>], frame: &Frame<'_>, has_headers: bool, name: &str) -> BTreeSet<usize> {
    let mut used = BTreeSet::new();
    let mut offset = 1;
    for field in dump::body(frame) {
        let field_name = field.name.trim_end_matches(" bytes");
        let row =
            rows.iter().position(|row| row[1] == field_name).unwrap_or_else(|| panic!("{name}: no row {field_name}"));
        assert!(used.iter().all(|earlier| *earlier <= row), "{name}: {field_name} stands out of order");
        if let Some(size) = size_of_type(rows[row][2]) {
            assert_eq!(field.bytes.len(), size, "{name}: size of {field_name}");
        }
        if let Ok(at) = rows[row][0].parse::<usize>()
            && !has_headers
            && used.insert(row)
        {
            assert_eq!(at, offset, "{name}: offset of {field_name}");
        }
        used.insert(row);
        offset += field.bytes.len();
    }
    used
}

#[test]
fn the_layout_tables_are_the_layouts() {
    let vectors = vector::valid();
    for kind in KINDS {
        let rows = document::table_under(&format!("#### {} (0x{:02X})", kind.name, kind.code));
        let mut used = BTreeSet::new();
        for vector in vectors.iter().filter(|vector| vector.frame == kind.name) {
            let bytes = vector.bytes();
            let (decoded, _) = decode_stream(&bytes, vector.towards()).unwrap().unwrap();
            let has_headers = split_frame(&bytes, u32::MAX).unwrap().unwrap().0[0] & 0x80 != 0;
            used.append(&mut check_layout(&rows, &decoded.frame, has_headers, vector.name));
        }
        assert_eq!(used.len(), rows.len(), "{}: rows of its table that no vector shows", kind.name);
    }
}

#[test]
fn the_topic_vectors_hold() {
    let limits = Limits::default();
    let told = |outcome: Result<(), Code>| outcome.map_or_else(Code::name, |()| "ok");
    let mut matches = 0;
    let blocks = document::blocks("topic-vector");
    for line in blocks.iter().flat_map(|(_, lines)| lines).filter(|line| !line.is_empty()) {
        let (verb, rest) = line.split_once(' ').unwrap_or_else(|| panic!("{line:?} is no topic vector"));
        let (first, rest) = take_quoted(rest.trim_start());
        match verb {
            "name" => assert_eq!(told(TopicName::new(&first, &limits).map(|_| ())), rest, "{line}"),
            "publish" => assert_eq!(told(TopicName::publishable(&first, &limits).map(|_| ())), rest, "{line}"),
            "filter" => assert_eq!(told(TopicFilter::new(&first, &limits).map(|_| ())), rest, "{line}"),
            "group" => assert_eq!(told(check_group(&first).map(|_| ())), rest, "{line}"),
            "match" => {
                let (second, rest) = take_quoted(rest);
                let filter = TopicFilter::new(&first, &limits).unwrap_or_else(|code| panic!("{line}: {code}"));
                let name = TopicName::new(&second, &limits).unwrap_or_else(|code| panic!("{line}: {code}"));
                assert_eq!(if filter.matches(name) { "yes" } else { "no" }, rest, "{line}");
                matches += 1;
            }
            other => panic!("{other:?} is no verb of a topic vector"),
        }
    }
    assert!(matches >= 30, "{matches} matching vectors");
}

/// The text of every source of the crate, comment marks and line ends taken out.
fn sources() -> String {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = [root.to_owned(), root.join("frame")].map(|folder| std::fs::read_dir(folder).unwrap());
    let paths = files.into_iter().flatten().map(|entry| entry.unwrap().path());
    let sources = paths.filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let texts: Vec<_> = sources.map(|path| std::fs::read_to_string(path).unwrap().replace("\n//! ", " ")).collect();
    texts.concat()
}

/// The sections that the sources cite must exist, or a reader is sent nowhere.
#[test]
fn every_section_the_crate_cites_exists() {
    let sources = sources();
    let behind = sources.split("protocol.md section ").skip(1);
    let cited: BTreeSet<_> = behind.map(|text| text.split([')', ' ', ',', ';']).next().unwrap()).collect();
    assert!(cited.contains("5.1") && cited.contains("4.3") && cited.contains("8"), "{cited:?}");
    for section in cited {
        assert!(document::has_section(section), "protocol.md has no section {section}");
    }
}

#[test]
fn extensions_of_the_vectors_can_be_built_and_taken_apart() {
    for vector in vector::valid().iter().filter(|vector| !vector.is_preface()) {
        let bytes = vector.bytes();
        let (decoded, _) = decode_stream(&bytes, vector.towards()).unwrap().unwrap();
        let mut area = Vec::new();
        Extensions::write(&mut area, &decoded.extensions.iter().collect::<Vec<_>>());
        assert_eq!(Extensions::from_area(&area), decoded.extensions, "{}", vector.name);
    }
}
