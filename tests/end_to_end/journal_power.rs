//! The power goes while a broker is under load, and it starts again on a machine that has booted since: what was
//! acknowledged as durable is there, and nobody takes what is left for what it was.

use super::broker::Broker;
use super::journal_load::{Listener, Publisher, SHARED, audit};
use super::journal_scene::{Kept, SMALL_SEGMENTS, configuration, history_of};
use super::private_disk::{PrivateDisk, hold_mounts, on_boot};
use super::process::eventually;
use super::reactors::amount;
use fanwire_wire::Code;
use fanwire_wire::frame::{AckLevel, Outcome, Start};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

const DISK_BYTES: u64 = 256 << 20;
/// Acknowledgements after which the power goes, at the most.
const ACKS_MAX: u64 = 1_500;

/// One machine over many boots.
struct Machine {
    disk: PrivateDisk,
    boot: PathBuf,
    config: String,
}

impl Machine {
    fn new(name: &str) -> Result<Machine, String> {
        let disk = PrivateDisk::new(name, DISK_BYTES)?;
        let boot = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("boot-{name}-{}", std::process::id()));
        let config = configuration(&disk.path().join("data"), SMALL_SEGMENTS);
        Ok(Machine { disk, boot, config })
    }

    /// A broker on the machine's next boot.
    fn boot(&self, number: u32) -> Broker {
        std::fs::write(&self.boot, format!("00000000-0000-4000-8000-{number:012}\n")).expect("writes");
        let _mounts = hold_mounts();
        Broker::start_by(&self.config, |command| on_boot(&self.boot, Some(self.disk.path()), command))
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.boot);
    }
}

/// Loads a broker until the power goes: some are there long enough to see that every call fails, some are not.
fn load_until_the_end(
    machine: &Machine,
    broker: Broker,
    life: u32,
    publishers: &mut [Publisher],
    ears: &mut [Listener],
) {
    let (address, acks) = (broker.address(), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let publishing: Vec<_> =
            publishers.iter_mut().map(|publisher| scope.spawn(|| publisher.run(address, life, &acks))).collect();
        for listener in ears {
            scope.spawn(|| listener.follow(address, false));
        }
        let target = u64::from(life).wrapping_mul(0x9E37_79B9_7F4A_7C15) % ACKS_MAX;
        eventually("acknowledgements", || (acks.load(Ordering::Relaxed) >= target).then_some(()));
        machine.disk.lose_power();
        if life.is_multiple_of(2) {
            publishing.into_iter().for_each(|thread| thread.join().expect("it is refused, it does not panic"));
            // It depends on what it tried first: to write, or to make the next segment.
            let said = ["the journal has failed", "the journal's next segment could not be made"];
            let is_told = || said.iter().any(|said| broker.log().contains(said)).then_some(());
            eventually("the broker to tell of it", is_told);
        }
        broker.kill();
    });
    for publisher in publishers {
        let refused = publisher.refused;
        let is_of_its_disk =
            matches!(refused, None | Some(Code::JournalFailed | Code::JournalFull | Code::JournalUnavailable));
        assert!(is_of_its_disk, "{refused:?}");
    }
}

/// The listener resumes: with what it has if that is still the log's past, else anew.
#[track_caller]
fn resume(listener: &mut Listener, broker: &Broker, log: &[Kept]) -> Outcome {
    let before = listener.records().to_vec();
    listener.follow(broker.address(), true);
    let outcome = *listener.outcomes.last().expect("it was told how it begins");
    let is_past = before.iter().zip(log).all(|(heard, kept)| heard == kept) && before.len() <= log.len();
    if before.is_empty() {
        assert_eq!(outcome, Outcome::History);
    } else if is_past {
        assert_eq!(outcome, Outcome::Resumed);
    } else {
        assert!(matches!(outcome, Outcome::ResetEpoch | Outcome::ResetBeyond), "{outcome:?}");
    }
    assert_eq!(listener.records().len(), log.len(), "it was told everything");
    listener.agrees_with(log);
    outcome
}

#[test]
fn what_was_acknowledged_as_durable_survives_the_loss_of_power() {
    let machine = match Machine::new("journal") {
        Ok(machine) => machine,
        Err(why) => return println!("skipped: {why}"),
    };
    let mut publishers = vec![
        Publisher::new(0, AckLevel::None),
        Publisher::new(1, AckLevel::Journaled),
        Publisher::new(2, AckLevel::Durable),
        Publisher::producer(3, AckLevel::Durable),
    ];
    let mut ears = vec![Listener::new("match/#")];
    let (mut epochs, mut resets) = (vec![0], 0);
    let losses = amount("JOURNAL_POWER_LOSSES", 3) as u32;
    for life in 1..=losses {
        load_until_the_end(&machine, machine.boot(2 * life), life, &mut publishers, &mut ears);
        machine.disk.restore();
        let broker = machine.boot(2 * life + 1);
        let (log, _, epoch) = history_of(broker.address(), Start::First, "match/#");
        audit(&log, &publishers, AckLevel::Durable);
        assert!(epoch > *epochs.last().expect("never empty"), "boot {life}: epoch {epoch} after {epochs:?}");
        epochs.push(epoch);
        let outcome = resume(&mut ears[0], &broker, &log);
        resets += u32::from(matches!(outcome, Outcome::ResetEpoch | Outcome::ResetBeyond));
        let mut newcomer = Listener::new(SHARED);
        newcomer.follow(broker.address(), true);
        newcomer.agrees_with(&log);
        broker.kill();
    }
    let durable = publishers[2].acked_count() + publishers[3].acked_count();
    println!("{losses} losses of power, {durable} records acknowledged as durable and kept, {resets} resets");
    assert!(durable > 0, "the power always went before anything was durable: this has tested nothing");
}
