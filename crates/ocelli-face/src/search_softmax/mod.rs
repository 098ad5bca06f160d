//! Loss function search (Wang et al., ICML 2020, arXiv 2007.06542): the margin of a softmax loss found during training.
//!
//! Every loss with a margin lowers the probability `p` of the true class to `h(a, p) p`, with one number `a <= 0`
//! ([`modulating`]); `a = 0` is softmax, a constant `a` is AM-Softmax. [`loss`](mod@loss) trains with any such factor.
//! Random-Softmax draws one each epoch. Search-Softmax trains several copies of the network for an epoch, each with a
//! factor of its own, goes on with the one that verifies held-out people best, and moves the distribution of factors
//! to where the reward was ([`Agent`]).
//!
//! [`FcHead`] has the classification layers of the release: plain, with which one searches, and the baselines AM, Arc,
//! SphereFace and MV.

mod agent;
mod head;
pub mod loss;
pub mod modulating;
mod objective;
mod reproduce;
pub mod search;
mod verify;

pub use agent::{Agent, AgentConfig, AgentError, Judgement};
pub use head::{FcConfig, FcHead, FcKind, ModulatedHead};
pub use objective::{ModulatedConfig, RandomConfig, RandomObjective, SearchObjective};
pub use search::{Reward, Search, SearchConfig, SearchMode};

use ocelli_method::{Basis, Card, Method};

/// The method as the registry knows it.
pub const METHOD: Method = Method {
    card: Card {
        slug: "search-softmax",
        title: "Loss Function Search for Face Recognition",
        task: "face recognition",
        basis: Basis::Official,
        authors: "Wang, Wang, Chi, Zhang, Mei",
        venue: "ICML 2020",
        arxiv: "2007.06542",
        summary: "Margin softmax as a family with one parameter, which is drawn anew each epoch or found by reinforcement while training.",
        notes: &[
            "A constant factor a is AM-Softmax with margin ln(1 - a) / s; only the search by probability bin leaves that family.",
            "The loss is computed in log space; the released code overflows for probabilities below 1e-38.",
            "rectify_first = true is the released agent, whose mean never moves; the default follows the paper.",
            "Most of the search's gain is the selection of the best of B copies each epoch: compare with that control.",
        ],
        trains: true,
        predicts: true,
    },
    components: verify::COMPONENTS,
    claim: Some(&reproduce::CLAIM),
};
