//! Why HTTP itself refuses, where no code of the registry fits, and the status of every code and reason.
//!
//! Numbers are apart from the registry of codes (protocol.md section 7), whose numbers stay below 1 000: a program
//! reads one `code` from every error body and never has to ask which list it is from. They are no status codes: several
//! reasons share a status, and the status is told already. Like codes they never change their meaning.

use super::status::Status;
use fanwire_wire::{Code, Retry};

/// The first number of a reason; the registry of codes ends before it.
pub const FIRST_NUMBER: u16 = 1_000;

macro_rules! reasons {
    ($(
        $(#[doc = $meaning:literal])+
        $variant:ident = $number:literal, $name:literal, $status:ident, $retry:expr;
    )+) => {
        /// Why HTTP refuses.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u16)]
        pub enum Reason {
            $($(#[doc = $meaning])+ $variant = $number,)+
        }

        impl Reason {
            /// Every reason, in the order of their numbers.
            pub const ALL: &'static [Reason] = &[$(Reason::$variant),+];

            /// The stable name.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Reason::$variant => $name,)+
                }
            }

            /// What happened, in a sentence for people.
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Reason::$variant => concat!($($meaning),+).trim_ascii(),)+
                }
            }

            /// The status it is answered with.
            pub const fn status(self) -> Status {
                match self {
                    $(Reason::$variant => Status::$status,)+
                }
            }

            /// What a client should do next.
            pub const fn retry(self) -> Retry {
                match self {
                    $(Reason::$variant => $retry,)+
                }
            }
        }
    };
}

reasons! {
    /// The request is not well-formed HTTP/1.1.
    BadRequest = 1_000, "BAD_REQUEST", BAD_REQUEST, Retry::Never;
    /// The path's or the query's form is wrong.
    BadParameter = 1_001, "BAD_PARAMETER", BAD_REQUEST, Retry::Never;
    /// The body's form is wrong.
    BadBody = 1_002, "BAD_BODY", BAD_REQUEST, Retry::Never;
    /// The version of HTTP is neither 1.1 nor 1.0.
    VersionUnsupported = 1_003, "HTTP_VERSION_UNSUPPORTED", HTTP_VERSION_NOT_SUPPORTED, Retry::Never;
    /// The method is not known here.
    MethodUnknown = 1_004, "METHOD_UNKNOWN", NOT_IMPLEMENTED, Retry::Never;
    /// Only the transfer coding chunked is known here.
    TransferCodingUnknown = 1_005, "TRANSFER_CODING_UNKNOWN", NOT_IMPLEMENTED, Retry::Never;
    /// Only 100-continue may be expected.
    ExpectationFailed = 1_006, "EXPECTATION_FAILED", EXPECTATION_FAILED, Retry::Never;

    /// Nothing is at this path.
    NotFound = 1_010, "NOT_FOUND", NOT_FOUND, Retry::Never;
    /// The path does not take this method; Allow says which it takes.
    MethodNotAllowed = 1_011, "METHOD_NOT_ALLOWED", METHOD_NOT_ALLOWED, Retry::Never;
    /// This path is for WebSocket connections only.
    UpgradeRequired = 1_012, "UPGRADE_REQUIRED", UPGRADE_REQUIRED, Retry::Never;
    /// The body is of a type that is not taken here.
    MediaTypeUnsupported = 1_013, "MEDIA_TYPE_UNSUPPORTED", UNSUPPORTED_MEDIA_TYPE, Retry::Never;
    /// The cursor or session that the request goes on from is not known any more.
    CursorGone = 1_014, "CURSOR_GONE", GONE, Retry::Now;
    /// Another poll with the same cursor took this one's place.
    Superseded = 1_015, "SUPERSEDED", CONFLICT, Retry::After(1_000);

    /// This broker does not answer under the host that was asked for.
    HostRefused = 1_020, "HOST_REFUSED", MISDIRECTED_REQUEST, Retry::Never;
    /// Pages of this origin may not use this broker.
    OriginRefused = 1_021, "ORIGIN_REFUSED", FORBIDDEN, Retry::Never;
    /// What tells about others is shown to callers on the broker's own machine only.
    LoopbackOnly = 1_022, "LOOPBACK_ONLY", FORBIDDEN, Retry::Never;

    /// The request's head is too long, or has too many fields.
    HeadTooLarge = 1_030, "HEAD_TOO_LARGE", REQUEST_HEADER_FIELDS_TOO_LARGE, Retry::Never;
    /// The request's target is too long.
    TargetTooLong = 1_031, "TARGET_TOO_LONG", URI_TOO_LONG, Retry::Never;
    /// The request's body is too long.
    BodyTooLarge = 1_032, "BODY_TOO_LARGE", CONTENT_TOO_LARGE, Retry::Never;
    /// The request does not say how long its body is.
    LengthRequired = 1_033, "LENGTH_REQUIRED", LENGTH_REQUIRED, Retry::Never;
    /// The request was begun and not completed in time.
    RequestTimeout = 1_034, "REQUEST_TIMEOUT", REQUEST_TIMEOUT, Retry::After(1_000);

    /// The broker failed; its log says how.
    Internal = 1_040, "INTERNAL", INTERNAL_SERVER_ERROR, Retry::After(1_000);
    /// The broker can't do this at the moment.
    Unavailable = 1_041, "UNAVAILABLE", SERVICE_UNAVAILABLE, Retry::After(1_000);
}

impl Reason {
    /// The number in error bodies.
    pub const fn number(self) -> u16 {
        self as u16
    }
}

/// The status that a code is answered with.
pub const fn status_of(code: Code) -> Status {
    match code {
        Code::BadMagic
        | Code::UnsupportedVersion
        | Code::MalformedFrame
        | Code::NonCanonicalVarint
        | Code::EmptyFrame
        | Code::UnknownFrame
        | Code::UnexpectedFrame
        | Code::ReservedBits
        | Code::UnknownCriticalExtension
        | Code::UnknownShortId
        | Code::UnknownReplyHandle
        | Code::ShortIdOutOfRange
        | Code::InvalidTopic
        | Code::InvalidFilter
        | Code::InvalidGroup
        | Code::DeadlineOutOfRange => Status::BAD_REQUEST,
        Code::BadCredentials => Status::UNAUTHORIZED,
        Code::ReservedTopic => Status::FORBIDDEN,
        Code::UnknownSubscription => Status::NOT_FOUND,
        Code::HandshakeTimeout | Code::FrameTimeout | Code::KeepAliveTimeout => Status::REQUEST_TIMEOUT,
        Code::Conflict | Code::ProducerTooOld | Code::DuplicateCorrelation | Code::DuplicateSubscription => {
            Status::CONFLICT
        }
        Code::RetentionOvertaken => Status::GONE,
        Code::FrameTooLarge | Code::RecordTooLarge => Status::CONTENT_TOO_LARGE,
        // Well-formed and understood, but this topic can't.
        Code::AckLevelUnavailable | Code::StartUnavailable | Code::PolicyUnavailable | Code::RateUnavailable => {
            Status::UNPROCESSABLE_CONTENT
        }
        Code::TooManyFromAddress | Code::TooManySubscriptions | Code::TooManyRequests => Status::TOO_MANY_REQUESTS,
        Code::HeadersTooLarge => Status::REQUEST_HEADER_FIELDS_TOO_LARGE,
        // Only a restart and an operator mend it.
        Code::JournalFailed => Status::INTERNAL_SERVER_ERROR,
        Code::ResponderGone => Status::BAD_GATEWAY,
        Code::TooManyConnections
        | Code::SlowConsumer
        | Code::QueueOverflow
        | Code::PartialFrameOverflow
        | Code::Draining
        | Code::HistoryFailed
        | Code::JournalUnavailable
        | Code::NoResponders
        | Code::RespondersBusy => Status::SERVICE_UNAVAILABLE,
        Code::DeadlineExceeded => Status::GATEWAY_TIMEOUT,
        Code::JournalFull | Code::TooManyTopics => Status::INSUFFICIENT_STORAGE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_rise_and_keep_apart_from_the_registry_of_codes() {
        assert!(Code::ALL.iter().all(|code| code.number() < FIRST_NUMBER));
        assert!(Reason::ALL.iter().all(|reason| reason.number() >= FIRST_NUMBER));
        assert!(Reason::ALL.windows(2).all(|pair| pair[0].number() < pair[1].number()));
        let names = || Reason::ALL.iter().map(|reason| reason.name());
        assert!(names().all(|name| Code::ALL.iter().all(|code| code.name() != name)), "names are apart too");
    }

    #[test]
    fn every_refusal_has_a_status_of_an_error_with_a_phrase() {
        let of_codes = Code::ALL.iter().map(|code| status_of(*code));
        for status in of_codes.chain(Reason::ALL.iter().map(|reason| reason.status())) {
            assert!((400..600).contains(&status.number()) && !status.phrase().is_empty(), "{status:?}");
        }
    }

    #[test]
    fn every_reason_says_what_happened() {
        for reason in Reason::ALL {
            assert!(reason.meaning().ends_with('.'), "{reason:?}: {}", reason.meaning());
        }
    }
}
