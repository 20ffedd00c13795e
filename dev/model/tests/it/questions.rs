//! What is admitted in generated worlds is what the answers about their policies allow.

use evidence::Measurement;
use model::agree;
use model::worlds::World;
use owners::NOW;
use trust::ask::{Answer, Asked, Asking, Question, Unseen};
use trust::claim::Country;
use trust::proof::Rule;

#[test]
fn nothing_is_admitted_against_an_answer() {
    let (mut held, mut failed, mut granted) = (0, 0, 0);
    for seed in 0..700 {
        let world = World::of(seed);
        let in_force = owners::in_force(&world.policy, None).unwrap();
        let unseen = Unseen {
            program: Measurement::new([0x99; 48]),
            machine: owners::machine_id(),
            now: NOW,
        };
        let genesis = owners::genesis();
        let asking = Asking::new(&world.policy, in_force.permissions(), &genesis, &unseen);
        let exist = asking
            .ask(&Question::Only { roles: vec![model::worlds::role("api")], may: Asked::Exist });
        let within = |code: &str| asking.ask(&Question::Within(vec![Country::new(code).unwrap()]));
        let grant = agree::engine(&world);
        match &exist {
            Answer::Holds(_) => {
                assert!(grant.is_none(), "seed {seed}: admitted, though nothing can be");
                held += 1;
            }
            Answer::Fails(_) => failed += 1,
        }
        let Some(grant) = grant else { continue };
        granted += 1;
        // Where a machine stands in the proof, an answer that excludes it would be wrong.
        let said = grant.proof.0.iter().filter(|s| s.rule == Rule::Claim);
        let said = said.filter(|s| s.conclusion.0[4] == "place").map(|s| s.conclusion.0[6].clone());
        for country in said {
            for code in ["DE", "FR", "US"].into_iter().filter(|c| *c != country) {
                assert!(
                    matches!(within(code), Answer::Fails(_)),
                    "seed {seed}: {country} not {code}"
                );
            }
        }
        // Whose word was needed is among those who can.
        let attributes = asking.attributes();
        for step in grant.proof.0.iter().filter(|s| s.conclusion.0[0] == "policy-lets") {
            let issuer =
                world.policy.issuers.iter().find(|i| i.key.to_string() == step.conclusion.0[1]);
            let name = issuer.unwrap().name.to_string();
            let listed = attributes.iter().flat_map(|a| &a.by).any(|b| b.starts_with(&name));
            assert!(listed, "seed {seed}: {name} is not listed");
        }
    }
    assert!(granted > 200 && failed > 200, "{granted} granted, {failed} could be");
    assert!(held > 0, "in no world nothing could be admitted");
}
