//! Deliveries: live by id, by name and through a group, journaled, and history (protocol.md section 5.6).

use super::Body;
use crate::code::Violation;
use crate::codec::{Reader, Sink};

macro_rules! delivery {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $kind:ident,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct $name<'a> {
            $($(#[$field_doc])* pub $field: delivery!(@type $kind),)*
            /// The headers block as the publisher sent it; empty for none.
            pub headers: &'a [u8],
            /// The rest of the frame.
            pub payload: &'a [u8],
        }

        impl<'a> Body<'a> for $name<'a> {
            fn read(reader: &mut Reader<'a>, headers: &'a [u8]) -> Result<Self, Violation> {
                Ok($name { $($field: reader.$kind()?,)* headers, payload: reader.rest() })
            }

            fn write(&self, sink: &mut impl Sink) {
                $(sink.$kind(self.$field);)*
                sink.bytes(self.payload);
            }

            fn headers(&self) -> &'a [u8] {
                self.headers
            }
        }
    };
    (@type u32) => { u32 };
    (@type u64) => { u64 };
    (@type blob) => { &'a [u8] };
}

delivery! {
    /// A live message to a subscriber of exactly this topic.
    Message {
        /// The id that SUBSCRIBED told.
        topic_id: u32,
    }
}

delivery! {
    /// A live message to a subscriber that matches by wildcard.
    MessageNamed {
        /// The topic name.
        topic: blob,
    }
}

delivery! {
    /// A live message to the one member of a group that was picked.
    MessageGroup {
        /// The member's subscription.
        subscription: u32,
        /// The topic name.
        topic: blob,
    }
}

delivery! {
    /// A journaled message to a subscriber of exactly this topic.
    Record {
        /// The id that SUBSCRIBED told.
        topic_id: u32,
        /// The record's number in its topic, contiguous from 1.
        sequence: u64,
    }
}

delivery! {
    /// A journaled message to a subscriber that matches by wildcard.
    RecordNamed {
        /// The record's number in its topic, contiguous from 1.
        sequence: u64,
        /// The record's number in its journal, increasing.
        position: u64,
        /// The topic name.
        topic: blob,
    }
}

delivery! {
    /// A record of a subscription's history.
    History {
        /// The subscription, whose handler alone gets it.
        subscription: u32,
        /// The record's number in its topic, contiguous from 1.
        sequence: u64,
        /// The record's number in its journal, increasing.
        position: u64,
        /// When it was journaled, in microseconds since 1970-01-01 UTC.
        time_us: u64,
        /// The topic name.
        topic: blob,
    }
}
