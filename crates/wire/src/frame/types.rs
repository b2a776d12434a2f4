//! Frames as values.

/// One frame. Bytes of a body are not in it: they follow on the stream.
#[derive(Debug, Clone, PartialEq)]
pub enum Frame {
    /// Announces a job; `body_size` bytes follow at once if `inline`.
    Job(Box<Job>),
    /// `size` bytes of a granted job follow.
    Body {
        /// Job.
        id: u64,
        /// Bytes that follow; equal to what was announced.
        size: u32,
    },
    /// The announced body will not come: what was reserved for it is free.
    Cancel {
        /// Job.
        id: u64,
    },
    /// The announced bytes are reserved.
    Grant {
        /// Job.
        id: u64,
    },
    /// The job does not come in.
    Refused {
        /// Job.
        id: u64,
        /// Why.
        reason: Refusal,
    },
    /// The last byte has arrived: the sender may forget the tensor.
    Taken {
        /// Job.
        id: u64,
    },
    /// The job has left the receiver's fragment for the next.
    Passed {
        /// Job.
        id: u64,
    },
    /// How the job ended.
    Reply(Box<Reply>),
    /// What the exits of an audit job said.
    Audit {
        /// Job.
        id: u64,
        /// Per evaluated exit.
        records: Vec<AuditRecord>,
    },
    /// Are you there?
    Ping,
    /// I am.
    Pong,
    /// The receiver drains: it refuses new jobs and finishes those it has.
    Draining,
}

/// A job's header.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Chosen by the sender, distinct among its open jobs on the connection.
    pub id: u64,
    /// Size of the tensor.
    pub body_size: u32,
    /// The body follows at once.
    pub inline: bool,
    /// Send `Passed`.
    pub notify_passed: bool,
    /// Goes on to the last exit after its answer.
    pub audit: bool,
    /// Already answered: only the audit goes on. A refusal is then no loss.
    pub answered: bool,
    /// Answer with the deepest exit evaluated when the next device is full or away.
    pub answer_on_overflow: bool,
    /// The answer says what the exits evaluated on the way were confident of.
    pub confidences: bool,
    /// Time left until the deadline, in microseconds.
    pub remaining_micros: Option<u64>,
    /// One per exit but the last.
    pub thresholds: Vec<f32>,
    /// Where the job goes: first the receiver itself.
    pub hops: Vec<Hop>,
    /// W3C trace context; may be empty.
    pub traceparent: String,
    /// Of an audit job: what earlier fragments evaluated.
    pub audits: Vec<AuditRecord>,
}

/// A fragment on a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    /// Name of the fragment on the device.
    pub fragment: String,
    /// Name of the device.
    pub device: String,
    /// `host:port`.
    pub address: String,
}

/// The class an exit gave an audit job.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AuditRecord {
    /// Exit, from 0.
    pub exit: u16,
    /// Class.
    pub class: u16,
    /// Confidence.
    pub confidence: f32,
}

/// How a job ended, with the time it spent on the way.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// Job.
    pub id: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// Fragments that the job was at, the answering one included, counted on the way back.
    pub hops: u8,
    /// Device that could not be reached or died on the way, whatever the outcome: its chains are avoided for a while.
    pub away: Option<String>,
    /// Time waited for a worker, over all fragments, in microseconds.
    pub wait_micros: u64,
    /// Time served, over all fragments, in microseconds.
    pub service_micros: u64,
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// With an answer.
    Answered(Answer),
    /// Without: memory was full.
    Lost {
        /// Device that refused.
        place: String,
        /// Why.
        reason: Refusal,
    },
    /// Without: for another reason.
    Failed {
        /// Device where it failed or that could not be reached.
        place: String,
        /// Why.
        reason: Failure,
    },
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Exit, from 0.
    pub exit: u16,
    /// Class.
    pub class: u16,
    /// Confidence at that exit.
    pub confidence: f32,
    /// One per class.
    pub probabilities: Vec<f32>,
    /// Whether the job would have gone on, had the next device not been full or away.
    pub on_overflow: bool,
    /// Exits evaluated for this answer, in order, if the job asked for them; each fragment puts its own before those behind it.
    pub evaluated: Vec<ExitConfidence>,
}

/// What an exit was confident of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExitConfidence {
    /// Exit, from 0.
    pub exit: u16,
    /// Confidence.
    pub confidence: f32,
}

macro_rules! codes {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $code:literal, $word:literal;)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl $name {
            /// Every value, for metrics that list them all.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The word used in metrics, messages and JSON.
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            pub(super) fn code(self) -> u8 {
                match self { $(Self::$variant => $code,)* }
            }

            pub(super) fn from_code(code: u8) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)* _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str(self.word())
            }
        }
    };
}

codes! {
    /// Why a job was not let in.
    Refusal {
        /// It does not fit into the fragment's budget.
        FragmentMemory = 1, "fragment-memory-full";
        /// It does not fit into the device's budget.
        DeviceMemory = 2, "device-memory-full";
        /// The receiver is about to stop.
        Draining = 3, "draining";
        /// There is no such fragment on the device.
        UnknownFragment = 4, "unknown-fragment";
        /// Size or thresholds do not fit the fragment.
        BadJob = 5, "bad-job";
        /// It does not fit into the gateway's budget.
        GatewayMemory = 6, "gateway-memory-full";
    }
}

codes! {
    /// Why a job failed.
    Failure {
        /// Its deadline passed.
        Deadline = 1, "deadline";
        /// The next hop could not be reached.
        Unreachable = 2, "unreachable";
        /// The next hop went away after it had taken the job over.
        HopDied = 3, "hop-died";
        /// The network gave numbers that are not finite.
        NotFinite = 4, "not-finite";
        /// Inference failed.
        Compute = 5, "compute-error";
        /// A hop refused the job as malformed: sender and receiver disagree about the model.
        BadJob = 6, "bad-job";
        /// The client went away.
        Disconnect = 7, "client-disconnect";
    }
}

impl Refusal {
    /// Whether the refusal is a loss: memory was full.
    pub fn is_memory(self) -> bool {
        matches!(self, Refusal::FragmentMemory | Refusal::DeviceMemory | Refusal::GatewayMemory)
    }
}
