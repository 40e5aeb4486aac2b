//! The command behind `fanwire reply --exec`: a request in, a reply out, and never longer than the deadline.
//!
//! ```text
//!  payload --stdin--> command --stdout--> reply        FANWIRE_TOPIC names the topic; stderr is ours
//! ```
//!
//! No shell: the words are split once, when the verb starts, and no byte of a request ever becomes an argument. A
//! command that fails, exceeds the deadline or says too much gives no reply. It runs in a process group of its own:
//! what it started is killed with it, and a Ctrl-C meant for us does not reach it.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process_group};
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// The environment variable that tells the command the topic of the request.
pub(super) const TOPIC_VARIABLE: &str = "FANWIRE_TOPIC";
/// Bytes moved at a time.
const CHUNK_BYTES: usize = 64 * 1024;
/// How often a command that closed its output is asked whether it has ended.
const END_POLL: Duration = Duration::from_millis(2);

/// A command, split into words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Exec {
    program: String,
    arguments: Vec<String>,
}

/// Why there is no reply.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExecError {
    #[error("{program} can't be started: {error}")]
    Start { program: String, error: io::Error },
    #[error("the command ended with {0}")]
    Status(ExitStatus),
    #[error("the command did not end before the request's deadline and was killed")]
    Deadline,
    #[error("the command's reply passes {0} bytes; it was killed")]
    TooLong(usize),
    #[error("the command's pipes failed: {0}")]
    Pipe(#[from] io::Error),
}

impl Exec {
    /// Splits a command line into words as a shell would, but expands nothing; for the argument parser.
    pub(super) fn parse(line: &str) -> Result<Exec, String> {
        let words = shlex::split(line).ok_or("a quote is not closed")?;
        let (program, arguments) = words.split_first().ok_or("a command is at least one word")?;
        Ok(Exec { program: program.clone(), arguments: arguments.to_vec() })
    }

    /// Runs the command on one request.
    pub(super) fn run(
        &self,
        topic: &str,
        payload: &[u8],
        deadline: Instant,
        reply_bytes_max: usize,
    ) -> Result<Vec<u8>, ExecError> {
        let child = Command::new(&self.program)
            .args(&self.arguments)
            .env(TOPIC_VARIABLE, topic)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(|error| ExecError::Start { program: self.program.clone(), error })?;
        Run::new(child)?.complete(payload, deadline, reply_bytes_max)
    }
}

/// One command at work. Killed with all it started, and waited for, when it is dropped before its end.
struct Run {
    child: Child,
    ended: bool,
    /// Until everything is written.
    stdin: Option<ChildStdin>,
    stdout: ChildStdout,
    reply: Vec<u8>,
}

impl Run {
    fn new(mut child: Child) -> Result<Run, ExecError> {
        let stdin = child.stdin.take().expect("stdin is piped");
        let stdout = child.stdout.take().expect("stdout is piped");
        let run = Run { child, ended: false, stdin: Some(stdin), stdout, reply: Vec::new() };
        // Neither end may block: a command may read nothing while it writes, or the other way round.
        rustix::io::ioctl_fionbio(run.stdin.as_ref().expect("just set"), true).map_err(io::Error::from)?;
        rustix::io::ioctl_fionbio(&run.stdout, true).map_err(io::Error::from)?;
        Ok(run)
    }

    fn complete(mut self, payload: &[u8], deadline: Instant, reply_bytes_max: usize) -> Result<Vec<u8>, ExecError> {
        let mut unsent = payload;
        loop {
            self.write(&mut unsent);
            if self.read(deadline, reply_bytes_max)? {
                break;
            }
            self.wait_for_pipes(deadline)?;
        }
        drop(self.stdin.take());
        let status = self.wait_for_end(deadline)?;
        if status.success() { Ok(std::mem::take(&mut self.reply)) } else { Err(ExecError::Status(status)) }
    }

    /// Writes what goes; closes the pipe behind the last byte. A command need not read its input.
    fn write(&mut self, unsent: &mut &[u8]) {
        while let Some(stdin) = &mut self.stdin {
            match stdin.write(unsent) {
                Ok(count) => *unsent = &unsent[count..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => self.stdin = None,
            }
            if unsent.is_empty() {
                self.stdin = None;
            }
        }
    }

    /// Reads what is there. Whether it was the end.
    fn read(&mut self, deadline: Instant, reply_bytes_max: usize) -> Result<bool, ExecError> {
        let mut chunk = [0; CHUNK_BYTES];
        loop {
            time_left(deadline)?;
            match self.stdout.read(&mut chunk) {
                Ok(0) => return Ok(true),
                Ok(count) if self.reply.len() + count > reply_bytes_max => {
                    return Err(ExecError::TooLong(reply_bytes_max));
                }
                Ok(count) => self.reply.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn wait_for_pipes(&self, deadline: Instant) -> Result<(), ExecError> {
        let left = time_left(deadline)?;
        let timeout = Timespec::try_from(left).unwrap_or(Timespec { tv_sec: i64::from(i32::MAX), tv_nsec: 0 });
        let mut pipes = vec![PollFd::new(&self.stdout, PollFlags::IN)];
        pipes.extend(self.stdin.as_ref().map(|stdin| PollFd::new(stdin, PollFlags::OUT)));
        match poll(&mut pipes, Some(&timeout)) {
            // A signal is no reason to give up; the deadline is looked at again.
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(io::Error::from(error).into()),
        }
    }

    fn wait_for_end(&mut self, deadline: Instant) -> Result<ExitStatus, ExecError> {
        loop {
            if let Some(status) = self.child.try_wait()? {
                self.ended = true;
                return Ok(status);
            }
            std::thread::sleep(END_POLL.min(time_left(deadline)?));
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // Once it was waited for, its number may be somebody else's.
        if !self.ended {
            // Fails only when it has just ended, which is what it is for.
            let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
            let _ = self.child.wait();
        }
    }
}

fn time_left(deadline: Instant) -> Result<Duration, ExecError> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(ExecError::Deadline) } else { Ok(left) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GENEROUS: Duration = Duration::from_secs(60);

    fn run(line: &str, payload: &[u8], patience: Duration) -> Result<Vec<u8>, ExecError> {
        Exec::parse(line).unwrap().run("time/now", payload, Instant::now() + patience, 1 << 20)
    }

    #[test]
    fn words_are_split_as_a_shell_would_and_nothing_is_expanded() {
        let exec = Exec::parse("grep -c 'two words' \"$HOME\" a\\ b * ; rm | x").unwrap();
        assert_eq!(exec.program, "grep");
        assert_eq!(exec.arguments, ["-c", "two words", "$HOME", "a b", "*", ";", "rm", "|", "x"]);
        assert_eq!(Exec::parse("say 'hello"), Err("a quote is not closed".to_owned()));
        assert_eq!(Exec::parse("  "), Err("a command is at least one word".to_owned()));
    }

    #[test]
    fn the_payload_goes_in_and_the_output_is_the_reply() {
        // More than two pipes hold, so that writing and reading have to take turns.
        let payload = vec![b'x'; 700_000];
        assert_eq!(run("cat", &payload, GENEROUS).unwrap(), payload);
        assert_eq!(run("sh -c 'printf %s \"$FANWIRE_TOPIC\"'", b"", GENEROUS).unwrap(), b"time/now");
        assert_eq!(run("echo unread", &payload, GENEROUS).unwrap(), b"unread\n");
    }

    #[test]
    fn a_command_that_fails_gives_no_reply() {
        let failed = run("sh -c 'echo half; exit 3'", b"", GENEROUS);
        assert!(matches!(failed, Err(ExecError::Status(status)) if status.code() == Some(3)));
        let missing = run("no-such-command-here", b"", GENEROUS).unwrap_err().to_string();
        assert!(missing.starts_with("no-such-command-here can't be started"), "{missing}");
    }

    #[test]
    fn the_deadline_ends_a_command_and_what_it_started_whatever_they_do() {
        let patience = Duration::from_millis(50);
        for line in ["sleep 600", "sh -c 'sleep 600 & wait'", "sh -c 'exec >&-; exec sleep 600'"] {
            let outcome = run(line, b"", patience);
            assert!(matches!(outcome, Err(ExecError::Deadline)), "{line}: {outcome:?}");
        }
    }

    #[test]
    fn a_reply_that_no_frame_could_carry_is_cut_off_early() {
        assert!(matches!(run("cat /dev/zero", b"", GENEROUS), Err(ExecError::TooLong(_))));
    }
}
