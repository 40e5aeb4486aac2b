//! The registry of codes: every refusal and every close names one (protocol.md section 7).
//!
//! A code is a number that never changes its meaning, a name for people, and a retry class for programs: nobody has
//! to read the text of an error to know what to do next.

/// What a client should do after it was told a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The same attempt can't succeed: mend the request, the credentials or the program first.
    Never,
    /// Nothing is wrong with the request: try again at once (a reconnect still uses its own back-off).
    Now,
    /// Try again after this many milliseconds, or after what the frame itself says.
    After(u32),
}

impl Retry {
    /// The class as it stands on the wire: 0 never, 1 now, 2 after.
    pub const fn class(self) -> u8 {
        match self {
            Retry::Never => 0,
            Retry::Now => 1,
            Retry::After(_) => 2,
        }
    }

    /// The delay as it stands on the wire, in milliseconds; 0 unless the class is `After`.
    pub const fn after_ms(self) -> u32 {
        match self {
            Retry::After(delay_ms) => delay_ms,
            Retry::Never | Retry::Now => 0,
        }
    }
}

/// The peer broke the protocol: the code says how. The connection ends with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Violation(pub Code);

impl core::fmt::Display for Violation {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(formatter, "protocol violation: {}", self.0)
    }
}

impl core::error::Error for Violation {}

macro_rules! codes {
    ($($(#[doc = $meaning:literal])+ $variant:ident = $number:literal, $name:literal, $retry:expr;)+) => {
        /// Why something was refused or closed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u16)]
        pub enum Code {
            $($(#[doc = $meaning])+ $variant = $number,)+
        }

        impl Code {
            /// Every code, in the order of their numbers.
            pub const ALL: &'static [Code] = &[$(Code::$variant),+];

            /// The code with this number, if version 1 knows it.
            pub const fn from_number(number: u16) -> Option<Code> {
                match number {
                    $($number => Some(Code::$variant),)+
                    _ => None,
                }
            }

            /// The stable name, as protocol.md spells it.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Code::$variant => $name,)+
                }
            }

            /// What happened, in a sentence for people.
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Code::$variant => concat!($($meaning),+).trim_ascii(),)+
                }
            }

            /// What a client should do next.
            pub const fn retry(self) -> Retry {
                match self {
                    $(Code::$variant => $retry,)+
                }
            }
        }
    };
}

codes! {
    /// The first bytes are not a Fanwire preface.
    BadMagic = 1, "BAD_MAGIC", Retry::Never;
    /// No version in the client's range is spoken here; the server's preface says which are.
    UnsupportedVersion = 2, "UNSUPPORTED_VERSION", Retry::Never;
    /// A frame's body does not have the layout of its kind.
    MalformedFrame = 3, "MALFORMED_FRAME", Retry::Never;
    /// A varint is longer than its value needs, or than four bytes.
    NonCanonicalVarint = 4, "NON_CANONICAL_VARINT", Retry::Never;
    /// A frame is longer than `frame_bytes_max`.
    FrameTooLarge = 5, "FRAME_TOO_LARGE", Retry::Never;
    /// A frame's length is zero: not even a kind.
    EmptyFrame = 6, "EMPTY_FRAME", Retry::Never;
    /// No frame has this kind.
    UnknownFrame = 7, "UNKNOWN_FRAME", Retry::Never;
    /// The frame exists, but not in this direction or not in this state.
    UnexpectedFrame = 8, "UNEXPECTED_FRAME", Retry::Never;
    /// A bit that must be zero is not.
    ReservedBits = 9, "RESERVED_BITS", Retry::Never;
    /// An extension that must be understood is not.
    UnknownCriticalExtension = 10, "UNKNOWN_CRITICAL_EXTENSION", Retry::Never;
    /// HELLO did not arrive in time.
    HandshakeTimeout = 11, "HANDSHAKE_TIMEOUT", Retry::After(1_000);
    /// A frame was begun and not completed in time.
    FrameTimeout = 12, "FRAME_TIMEOUT", Retry::After(1_000);
    /// Nothing was heard for two keep-alive intervals.
    KeepAliveTimeout = 13, "KEEP_ALIVE_TIMEOUT", Retry::Now;
    /// The credentials are missing or wrong.
    BadCredentials = 14, "BAD_CREDENTIALS", Retry::Never;
    /// The broker holds as many connections as it may.
    TooManyConnections = 15, "TOO_MANY_CONNECTIONS", Retry::After(5_000);
    /// This source address holds as many connections as it may.
    TooManyFromAddress = 16, "TOO_MANY_FROM_ADDRESS", Retry::After(5_000);
    /// The client did not read its messages, and its subscription's policy is `disconnect`.
    SlowConsumer = 17, "SLOW_CONSUMER", Retry::Now;
    /// The client did not read its replies, or was the largest queue when all queues together passed their bound.
    QueueOverflow = 18, "QUEUE_OVERFLOW", Retry::After(1_000);
    /// Unfinished frames of all clients together passed their bound, and this one was the largest.
    PartialFrameOverflow = 19, "PARTIAL_FRAME_OVERFLOW", Retry::After(1_000);
    /// The broker is going down; GOAWAY says when to come back.
    Draining = 20, "DRAINING", Retry::After(1_000);
    /// A publish named a short id that this connection has not registered.
    UnknownShortId = 21, "UNKNOWN_SHORT_ID", Retry::Never;
    /// A reply named a handle that this connection was never given.
    UnknownReplyHandle = 22, "UNKNOWN_REPLY_HANDLE", Retry::Never;
    /// A request used a correlation id that is still in flight.
    DuplicateCorrelation = 23, "DUPLICATE_CORRELATION", Retry::Never;
    /// A subscribe used a subscription id that is still in use.
    DuplicateSubscription = 24, "DUPLICATE_SUBSCRIPTION", Retry::Never;

    /// The topic name breaks the grammar.
    InvalidTopic = 100, "INVALID_TOPIC", Retry::Never;
    /// Clients may not publish, request or register under `$`.
    ReservedTopic = 101, "RESERVED_TOPIC", Retry::Never;
    /// This topic can't give the asked ack level, or keep what an extension asks.
    AckLevelUnavailable = 102, "ACK_LEVEL_UNAVAILABLE", Retry::Never;
    /// The headers block is longer than `headers_bytes_max`.
    HeadersTooLarge = 103, "HEADERS_TOO_LARGE", Retry::Never;
    /// The short id is not below `short_ids_max`.
    ShortIdOutOfRange = 104, "SHORT_ID_OUT_OF_RANGE", Retry::Never;
    /// The topic's journal has no room left, and waits for space on its disk.
    JournalFull = 105, "JOURNAL_FULL", Retry::After(1_000);
    /// The topic's journal could not be opened, write or sync, and takes nothing more.
    JournalFailed = 106, "JOURNAL_FAILED", Retry::Never;
    /// The topic's last sequence is not the expected one.
    Conflict = 107, "CONFLICT", Retry::Never;
    /// The producer's number is older than the window in which the journal knows duplicates.
    ProducerTooOld = 108, "PRODUCER_TOO_OLD", Retry::Never;
    /// The topic's journal holds as many topics as it may.
    TooManyTopics = 109, "TOO_MANY_TOPICS", Retry::Never;
    /// The message does not fit a segment of its topic's journal.
    RecordTooLarge = 110, "RECORD_TOO_LARGE", Retry::Never;
    /// The topic's journal can't make its next segment, for another reason than room, and tries again.
    JournalUnavailable = 111, "JOURNAL_UNAVAILABLE", Retry::After(1_000);

    /// The topic filter breaks the grammar.
    InvalidFilter = 200, "INVALID_FILTER", Retry::Never;
    /// The connection holds `subscriptions_max` subscriptions, or all together hold as many as the broker takes.
    TooManySubscriptions = 201, "TOO_MANY_SUBSCRIPTIONS", Retry::Never;
    /// No journal covers this filter, so there is no such place to start from.
    StartUnavailable = 202, "START_UNAVAILABLE", Retry::Never;
    /// The overflow policy does not fit this subscription: `catch-up` without a journal or in a group, `conflate` in a
    /// group.
    PolicyUnavailable = 203, "POLICY_UNAVAILABLE", Retry::Never;
    /// The group name breaks the grammar, or a responder names no group.
    InvalidGroup = 204, "INVALID_GROUP", Retry::Never;
    /// A maximum rate was asked of a subscription that does not conflate.
    RateUnavailable = 205, "RATE_UNAVAILABLE", Retry::Never;
    /// No subscription has this id.
    UnknownSubscription = 206, "UNKNOWN_SUBSCRIPTION", Retry::Never;
    /// Retention has removed records that the subscription still had to get.
    RetentionOvertaken = 207, "RETENTION_OVERTAKEN", Retry::Now;
    /// The journal's history could not be read: damage, or an error of its disk.
    HistoryFailed = 208, "HISTORY_FAILED", Retry::After(1_000);

    /// Nobody answers requests on this topic.
    NoResponders = 300, "NO_RESPONDERS", Retry::After(1_000);
    /// No reply came before the deadline.
    DeadlineExceeded = 301, "DEADLINE_EXCEEDED", Retry::Now;
    /// The responder that had the request left without a reply.
    ResponderGone = 302, "RESPONDER_GONE", Retry::Now;
    /// The connection has `requests_max` requests in flight.
    TooManyRequests = 303, "TOO_MANY_REQUESTS", Retry::After(100);
    /// The deadline is zero or beyond `deadline_ms_max`.
    DeadlineOutOfRange = 304, "DEADLINE_OUT_OF_RANGE", Retry::Never;
    /// Every responder's queue is full.
    RespondersBusy = 305, "RESPONDERS_BUSY", Retry::After(100);
}

impl Code {
    /// The number on the wire.
    pub const fn number(self) -> u16 {
        self as u16
    }
}

impl core::fmt::Display for Code {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(formatter, "{} ({})", self.name(), self.number())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_rise_and_lead_back_to_their_codes() {
        for pair in Code::ALL.windows(2) {
            assert!(pair[0].number() < pair[1].number(), "{} before {}", pair[0], pair[1]);
        }
        for code in Code::ALL {
            assert_eq!(Code::from_number(code.number()), Some(*code));
        }
        assert_eq!(Code::from_number(0), None);
    }

    #[test]
    fn every_code_says_what_happened() {
        for code in Code::ALL {
            assert!(code.meaning().ends_with('.') && code.meaning().len() < 200, "{code}: {}", code.meaning());
        }
    }
}
