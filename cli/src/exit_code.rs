//! With which code `eenn` ends, and why.

use std::process::ExitCode;

macro_rules! codes {
    ($($name:ident = $code:literal, $meaning:literal;)*) => {
        $(
            #[doc = $meaning]
            pub(crate) const $name: u8 = $code;
        )*
        /// Every code with its meaning, for the generated reference.
        pub(crate) const ALL: &[(u8, &str)] = &[$(($name, $meaning)),*];
    };
}

codes! {
    OK = 0, "All went well; also when Ctrl-C ended a run whose results were shown.";
    FAILURE = 1, "It failed while running: a process died at its start, a port was taken, a file could not be written, \
         a cluster gave no answer or refused, a simulation differs from known answers (--check).";
    BAD_INPUT = 2, "The input was refused: options, manifests, networks, models, data, or names that a cluster does not have. \
         Nothing was started or changed.";
}

/// Why a command ended early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The user's input is at fault.
    Input(anyhow::Error),
    /// Something went wrong while running.
    Running(anyhow::Error),
}

/// What commands return.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// Input that is refused for a reason in words.
    pub(crate) fn input(reason: impl std::fmt::Display) -> Self {
        Failure::Input(anyhow::anyhow!("{reason}"))
    }

    /// The documented exit code.
    pub(crate) fn code(&self) -> ExitCode {
        match self {
            Failure::Input(_) => BAD_INPUT.into(),
            Failure::Running(_) => FAILURE.into(),
        }
    }
}

/// One line with all causes. Errors that come with a drawing of their place keep their lines.
impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Failure::Input(error) | Failure::Running(error)) = self;
        write!(f, "error: {error:#}")
    }
}

/// What fails while running, with `?`.
impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Failure::Running(error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Failure::Running(error.into())
    }
}

/// Marks errors as the input's fault.
pub(crate) trait Blame<T> {
    /// The input is at fault.
    fn blame_input(self) -> Outcome<T>;
}

impl<T, E: Into<anyhow::Error>> Blame<T> for Result<T, E> {
    fn blame_input(self) -> Outcome<T> {
        self.map_err(|error| Failure::Input(error.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn causes_are_on_one_line() {
        let error = Err::<(), _>(std::io::Error::other("disk on fire")).context("failed to read a.yaml");
        assert_eq!(error.blame_input().unwrap_err().to_string(), "error: failed to read a.yaml: disk on fire");
    }
}
