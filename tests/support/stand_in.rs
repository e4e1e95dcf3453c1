//! Roots that others made, with virtual tokens standing in for their holders: every key is replaced in the spelling it has, every
//! signature is made anew under the key id it had, and nothing else changes. So each old form stays as it was.
//!
//! It takes the stage's module from whoever includes it beside `support/stage.rs`.

#![allow(dead_code, unreachable_pub, reason = "each test uses another part")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use trustroot::seams::{NewSecrets, OnlineKey as _, Pin, SlotState, Token, Tokens as _, Wanted};
use trustroot::token::{FileKey, VirtualTokens, write_rehearsal_key};
use trustroot_core::json::Value;
use trustroot_core::key::PublicKey;
use trustroot_core::metadata::build::{Snapshot, Targets, Timestamp};
use trustroot_core::metadata::envelope::assemble;
use trustroot_core::metadata::fields::MetaFile;
use trustroot_core::metadata::root::Root;
use trustroot_core::metadata::targets::Target;
use trustroot_core::metadata::tufkey::{TufKey, key_id, new_form, spell};
use trustroot_core::metadata::{Metadata, Role};
use trustroot_core::payload::Payload;
use trustroot_core::plan::Plan;
use trustroot_core::proposal::{REHEARSAL, REHEARSAL_TEXT};
use trustroot_core::review::{OnlinePayload, Review};
use trustroot_core::serial::Serial;
use trustroot_core::text::Handle;
use trustroot_core::time::Timestamp as Day;
use zeroize::Zeroizing;

/// The first serial number of those that stand in.
pub(crate) const FIRST: u32 = 91_000_001;

/// A PIN for the tokens.
fn pin(text: &str) -> Pin {
    Pin::new(Zeroizing::new(text.to_owned()))
}

/// Provisions the virtual token of each holder of `plan` in `folder` and makes its key; those that are there stay.
pub(crate) fn tokens(seed: [u8; 32], folder: &Path, plan: &Plan) -> BTreeMap<Handle, (PublicKey, Box<dyn Token>)> {
    let mut tokens = VirtualTokens::new(seed, folder, plan, Vec::new()).unwrap();
    let one = |holder: &trustroot_core::plan::Holder| {
        let (kind, serial) = (holder.token.kind, holder.token.serial);
        let wanted = Wanted { holder: holder.handle.clone(), kind, serial, slot: holder.token.slot(), pkcs11: None };
        let mut token = tokens.open(&wanted).unwrap();
        let key = match token.inspect().unwrap() {
            SlotState::Occupied(key) => key,
            SlotState::Empty(slot) => {
                let (new, puk) = (pin(super::stage::PIN), pin("rehearse-puk"));
                token.provision(&NewSecrets { pin: &new, puk: token.has_puk().then_some(&puk) }).unwrap();
                token.generate(slot, &new).unwrap()
            }
        };
        (holder.handle.clone(), (key, token))
    };
    plan.holders.iter().map(one).collect()
}

/// Stand-ins for every key of some roots.
pub(crate) struct StandIns {
    seed: [u8; 32],
    /// What stands in for each key.
    keys: BTreeMap<PublicKey, PublicKey>,
    /// The serial number of the token, for holders' keys.
    serials: BTreeMap<PublicKey, u32>,
    signers: BTreeMap<PublicKey, Box<dyn Token>>,
    online: BTreeMap<PublicKey, FileKey>,
    folder: tempfile::TempDir,
}

/// What is published at the end of a chain of roots that stand in.
pub(crate) struct Published {
    /// Every file by name.
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    /// The newest root.
    pub(crate) newest: Metadata<Root>,
}

impl StandIns {
    /// For these roots, in order. The online keys of the newest get the names that a plan gives them.
    pub(crate) fn of(seed: [u8; 32], plan: &Plan, roots: &[Metadata<Root>]) -> Self {
        let folder = super::stage::folder();
        let newest = roots.last().unwrap().body();
        let public = |key: &TufKey| key.public().unwrap().clone();
        let of_role = |root: &Metadata<Root>, role: Role| -> BTreeSet<PublicKey> {
            let body = root.body();
            body.role(role).keyids.iter().map(|id| public(&body.keys()[id])).collect()
        };
        let holders: BTreeSet<PublicKey> = roots
            .iter()
            .flat_map(|root| [Role::Root, Role::Targets].map(|role| of_role(root, role)))
            .flatten()
            .collect();
        let mut many = plan.clone();
        let serials = FIRST..;
        many.holders = holders
            .iter()
            .zip(serials.clone())
            .map(|(_, serial)| {
                let mut one = plan.holders[0].clone();
                one.handle = Handle::new(&format!("stand-in-{serial}")).unwrap();
                one.token.serial = Some(Serial::from(serial));
                one
            })
            .collect();
        let mut made = Self {
            seed,
            keys: BTreeMap::new(),
            serials: BTreeMap::new(),
            signers: BTreeMap::new(),
            online: BTreeMap::new(),
            folder,
        };
        let tokens = tokens(seed, &made.folder.path().join("tokens"), &many);
        for ((original, serial), (_, (key, token))) in holders.iter().zip(serials).zip(tokens) {
            made.keys.insert(original.clone(), key.clone());
            made.serials.insert(key.clone(), serial);
            made.signers.insert(key, token);
        }
        let last = roots.last().unwrap();
        let (snapshot, timestamp) = (of_role(last, Role::Snapshot), of_role(last, Role::Timestamp));
        let named = |key: &PublicKey| match (snapshot.contains(key), timestamp.contains(key)) {
            (true, true) => "online".to_owned(),
            (true, false) => "online-snapshot".to_owned(),
            (false, true) => "online-timestamp".to_owned(),
            (false, false) => format!("earlier-{}", key.fingerprint().short()),
        };
        let all = roots.iter().flat_map(|root| root.body().keys().values().map(public));
        for original in all.collect::<BTreeSet<_>>() {
            if holders.contains(&original) {
                continue;
            }
            let name = Handle::new(&named(&original)).unwrap();
            let key = write_rehearsal_key(&made.folder.path().join(format!("{name}.pem")), &name, &seed).unwrap();
            made.keys.insert(original, key.public().clone());
            made.online.insert(key.public().clone(), key);
        }
        assert!(newest.keys().values().all(|key| made.keys.contains_key(&public(key))));
        made
    }

    /// The serial number of the token that has this key.
    pub(crate) fn serial(&self, key: &PublicKey) -> u32 {
        self.serials[key]
    }

    /// The chain of roots with other keys; and, with versions for targets, snapshot and timestamp, what it leads to.
    pub(crate) fn publish(&mut self, roots: &[Metadata<Root>], versions: Option<(u64, u64, u64)>) -> Published {
        let mut files = BTreeMap::new();
        let mut names: BTreeMap<String, (String, PublicKey)> = BTreeMap::new();
        let mut newest = None;
        for root in roots {
            let (signed, own) = self.swapped(root);
            names.extend(own);
            let payload = Payload::of(&signed);
            let signatures = root.signatures().iter().map(|one| {
                let (id, key) = &names[&one.keyid];
                let sig = if one.sig.is_empty() { Vec::new() } else { self.sign_root(key, &payload) };
                Value::from([("keyid", Value::Str(id.clone())), ("sig", Value::Str(hex(&sig)))])
            });
            let signatures = Payload::of(&Value::Arr(signatures.collect())).to_json();
            let mut file = b"{\"signatures\":".to_vec();
            file.extend_from_slice(&signatures);
            file.extend_from_slice(b",\"signed\":");
            file.extend_from_slice(&payload.to_json());
            file.push(b'}');
            let name = format!("{}.root.json", root.version());
            newest = Some(Metadata::<Root>::parse(&name, &file).unwrap());
            files.insert(name, file);
        }
        let newest = newest.unwrap();
        if let Some((targets, snapshot, timestamp)) = versions {
            self.leads_to(&newest, &mut files, targets, snapshot, timestamp);
        }
        Published { files, newest }
    }

    /// What is signed, with other keys; and for each key id its new one and the key that stands in.
    fn swapped(&self, root: &Metadata<Root>) -> (Value, BTreeMap<String, (String, PublicKey)>) {
        let mut ids = BTreeMap::new();
        let mut keys = BTreeMap::new();
        for (id, key) in root.body().keys() {
            let stand_in = &self.keys[key.public().unwrap()];
            // An online key may be of another kind, which has a form of its own.
            let same = stand_in.algorithm() == key.public().unwrap().algorithm();
            let spelled = spell(stand_in, key.spelling().unwrap()).filter(|_| same);
            let value = match spelled {
                Some(text) => {
                    let mut value = key.value().clone();
                    *member(member(&mut value, "keyval"), "public") = Value::Str(text);
                    value
                }
                None => new_form(stand_in).unwrap(),
            };
            let new = if key.has_right_id() { key_id(&value).to_string() } else { id.clone() };
            keys.insert(new.clone(), value);
            ids.insert(id.clone(), (new, stand_in.clone()));
        }
        let mut signed = root.signed().clone();
        *member(&mut signed, "keys") = keys.into();
        let Value::Obj(roles) = member(&mut signed, "roles") else { panic!("roles are an object") };
        for role in roles.values_mut() {
            let Value::Arr(list) = member(role, "keyids") else { panic!("keyids are a list") };
            for id in list {
                *id = Value::Str(ids[id.as_str().unwrap()].0.clone());
            }
        }
        let Value::Obj(members) = &mut signed else { panic!("an object is signed") };
        // A rehearsal verifies nothing that does not say it is one.
        members.insert(REHEARSAL.to_owned(), REHEARSAL_TEXT.into());
        (signed, ids)
    }

    fn sign_root(&mut self, key: &PublicKey, payload: &Payload) -> Vec<u8> {
        let review = Review::of(payload.bytes().to_vec(), Vec::new());
        let (root, _) = review.consent(Review::WORD, payload.digest()).unwrap();
        self.signers.get_mut(key).unwrap().sign_root(&root, &pin(super::stage::PIN)).unwrap()
    }

    fn sign_targets(&mut self, key: &PublicKey, payload: &Payload) -> Vec<u8> {
        let review = Review::of(Vec::new(), payload.bytes().to_vec());
        let (_, targets) = review.consent(Review::WORD, review.affirms()).unwrap();
        self.signers.get_mut(key).unwrap().sign_targets(&targets, &pin(super::stage::PIN)).unwrap()
    }

    fn leads_to(
        &mut self,
        root: &Metadata<Root>,
        files: &mut BTreeMap<String, Vec<u8>>,
        targets: u64,
        snapshot: u64,
        timestamp: u64,
    ) {
        let expires = Day::from_day("2030-01-01").unwrap();
        let ids = |role: Role| {
            let role = root.body().role(role);
            let usable = role.keyids.iter().map(|id| (id.clone(), root.body().keys()[id].public().unwrap().clone()));
            usable.take(usize::try_from(role.threshold).unwrap()).collect::<Vec<_>>()
        };
        let extra = BTreeMap::from([(REHEARSAL.to_owned(), REHEARSAL_TEXT.into())]);
        let named = BTreeMap::from([("trusted.json".to_owned(), Target::of(b"{}"))]);
        let built = Targets { version: targets, expires, targets: named, delegations: None, extra };
        let payload = built.payload().unwrap();
        let signatures: Vec<_> =
            ids(Role::Targets).into_iter().map(|(id, key)| (id, self.sign_targets(&key, &payload))).collect();
        let file = assemble(&payload, signatures);
        let meta = BTreeMap::from([("targets.json".to_owned(), MetaFile::of(targets, &file))]);
        files.insert(format!("{targets}.targets.json"), file);
        let online = |role: Role, payload: &Payload| {
            let signatures = ids(role).into_iter().map(|(id, key)| {
                let payload = OnlinePayload::new(payload.bytes().to_vec()).unwrap();
                (id, self.online[&key].sign(&payload, None).unwrap())
            });
            assemble(payload, signatures.collect::<Vec<_>>())
        };
        let file = online(Role::Snapshot, &Snapshot { version: snapshot, expires, meta }.payload().unwrap());
        let named = MetaFile::of(snapshot, &file);
        files.insert(format!("{snapshot}.snapshot.json"), file);
        let payload = Timestamp { version: timestamp, expires, snapshot: named }.payload().unwrap();
        files.insert("timestamp.json".to_owned(), online(Role::Timestamp, &payload));
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn member<'a>(of: &'a mut Value, name: &str) -> &'a mut Value {
    let Value::Obj(members) = of else { panic!("{name} is in no object") };
    members.get_mut(name).unwrap()
}
