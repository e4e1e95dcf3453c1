//! The steps of a ceremony: their names, their order, and who acts.

use crate::event::{Act, Deed, StepId};
use crate::plan::Plan;
use crate::text::Handle;
use alloc::vec::Vec;

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Who is here.
    Roll,
    /// The time, from two places.
    Clock,
    /// The digests of plan and program, read aloud and read back.
    Read,
    /// A holder's token is identified.
    Token(Handle),
    /// Its factory secrets are replaced.
    Provision(Handle),
    /// The key is made and attested.
    Generate(Handle),
    /// Somebody at a machine of their own hears the fingerprint.
    Hear(Handle),
    /// Others hear the fingerprint.
    Vouch(Handle),
    /// The exception that fewer than two others vouched.
    Unvouched(Handle),
    /// Metadata is built, linted, and tried as a twin.
    Propose,
    /// The review page is read aloud and its digest read back.
    Review,
    /// A holder signs root and targets.
    Sign(Handle),
    /// Somebody signs root and targets with a key of the root before, which the new root no longer names.
    SignOld(Handle),
    /// The exception that fewer than a quorum read the digest from another machine.
    OneMachine,
    /// Signatures become metadata.
    Assemble,
    /// Two clients refresh to the end.
    Verify,
    /// The result is published under a tag.
    Publish,
    /// Exceptions are read back.
    ReadBack,
    /// The record is rendered and closed.
    Close,
}

impl Step {
    /// Its name.
    pub fn id(&self) -> StepId {
        let act = self.act();
        match self {
            Self::Roll => StepId::new(act, "roll"),
            Self::Clock => StepId::new(act, "clock"),
            Self::Read => StepId::new(act, "read"),
            Self::Token(holder) => StepId::of(act, holder, "token"),
            Self::Provision(holder) => StepId::of(act, holder, "provision"),
            Self::Generate(holder) => StepId::of(act, holder, "generate"),
            Self::Hear(holder) => StepId::of(act, holder, "heard"),
            Self::Vouch(holder) => StepId::of(act, holder, "vouch"),
            Self::Unvouched(holder) => StepId::of(act, holder, "unvouched"),
            Self::Propose => StepId::new(act, "twin"),
            Self::Review => StepId::new(act, "read"),
            Self::Sign(holder) => StepId::of(act, holder, "sign"),
            Self::SignOld(holder) => StepId::of(act, holder, "sign-old"),
            Self::OneMachine => StepId::new(act, "one-machine"),
            Self::Assemble => StepId::new(act, "files"),
            Self::Verify => StepId::new(act, "clients"),
            Self::Publish => StepId::new(act, "tag"),
            Self::ReadBack => StepId::new(act, "exceptions"),
            Self::Close => StepId::new(act, "record"),
        }
    }

    /// The steps at which the deed may be done; none for what may happen at any step.
    pub fn of(deed: &Deed) -> Vec<Self> {
        let one = |step| alloc::vec![step];
        match deed {
            Deed::Roll { .. } => one(Self::Roll),
            Deed::Clock { .. } => one(Self::Clock),
            Deed::Read { .. } => one(Self::Read),
            Deed::Token { holder, .. } => one(Self::Token(holder.clone())),
            Deed::Provisioned { holder, .. } => one(Self::Provision(holder.clone())),
            Deed::GenerateIntent { holder, .. } | Deed::Generated { holder, .. } => one(Self::Generate(holder.clone())),
            Deed::Heard { holder, .. } => one(Self::Hear(holder.clone())),
            Deed::Vouched { holder, .. } => one(Self::Vouch(holder.clone())),
            Deed::Proposed { .. } => one(Self::Propose),
            Deed::Reviewed { .. } => one(Self::Review),
            Deed::SignIntent { holder, old: true, .. } | Deed::Signed { holder, old: true, .. } => {
                one(Self::SignOld(holder.clone()))
            }
            Deed::SignIntent { holder, .. } | Deed::Signed { holder, .. } => one(Self::Sign(holder.clone())),
            Deed::Assembled { .. } => one(Self::Assemble),
            Deed::Verified { .. } => one(Self::Verify),
            Deed::Published { .. } => one(Self::Publish),
            Deed::ReadBack { .. } => one(Self::ReadBack),
            Deed::Closed { .. } => one(Self::Close),
            Deed::Exception { .. } | Deed::Left { .. } | Deed::Aborted { .. } | Deed::Chosen { .. } => Vec::new(),
        }
    }

    /// The act it belongs to.
    pub fn act(&self) -> Act {
        match self {
            Self::Roll | Self::Clock | Self::Read => Act::Open,
            Self::Token(_) | Self::Provision(_) | Self::Generate(_) => Act::Keys,
            Self::Hear(_) | Self::Vouch(_) | Self::Unvouched(_) => Act::Keys,
            Self::Propose => Act::Propose,
            Self::Review => Act::Review,
            Self::Sign(_) | Self::SignOld(_) | Self::OneMachine => Act::Sign,
            Self::Assemble => Act::Assemble,
            Self::Verify => Act::Verify,
            Self::Publish => Act::Publish,
            Self::ReadBack | Self::Close => Act::Close,
        }
    }

    /// The holder it is about, if it is about one.
    pub fn holder(&self) -> Option<&Handle> {
        match self {
            Self::Token(holder)
            | Self::Provision(holder)
            | Self::Generate(holder)
            | Self::Hear(holder)
            | Self::Vouch(holder)
            | Self::Unvouched(holder)
            | Self::Sign(holder)
            | Self::SignOld(holder) => Some(holder),
            _ => None,
        }
    }

    /// The steps of a ceremony in which all goes as planned, in order: what the printed script shows.
    pub fn all(plan: &Plan) -> Vec<Self> {
        let mut steps = alloc::vec![Self::Roll, Self::Clock, Self::Read];
        // A key that is kept was made, attested and heard before.
        for holder in plan.holders.iter().filter(|holder| holder.key.is_none()) {
            let handle = || holder.handle.clone();
            steps.push(Self::Token(handle()));
            if holder.token.kind.is_provisioned_here() {
                steps.push(Self::Provision(handle()));
            }
            steps.extend([Self::Generate(handle()), Self::Vouch(handle())]);
        }
        steps.extend([Self::Propose, Self::Review]);
        steps.extend(plan.holders.iter().map(|holder| Self::Sign(holder.handle.clone())));
        let old = plan.leaving.iter().filter(|leaving| leaving.signs);
        steps.extend(old.map(|leaving| Self::SignOld(leaving.handle.clone())));
        steps.extend([Self::Assemble, Self::Verify, Self::Publish, Self::ReadBack, Self::Close]);
        steps
    }
}
