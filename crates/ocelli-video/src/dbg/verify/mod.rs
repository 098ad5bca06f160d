//! Reference-case components.

mod learning;
mod network;
mod protocol;

use ocelli_method::Component;

/// The components, in the order of the paper.
pub(super) const COMPONENTS: &[Component] = &[
    Component { name: "dsb", run: network::dual_stream_base },
    Component { name: "pfg", run: network::proposal_features },
    Component { name: "acr", run: network::completeness },
    Component { name: "tbc", run: network::boundaries },
    Component { name: "network", run: network::whole },
    Component { name: "assign", run: learning::assign },
    Component { name: "dataset.filter", run: learning::filter },
    Component { name: "loss.bce", run: learning::log_loss },
    Component { name: "loss.iou", run: learning::completeness_loss },
    Component { name: "loss.total", run: learning::total_loss },
    Component { name: "train_step", run: learning::train_steps },
    Component { name: "feature.rescale", run: protocol::rescale },
    Component { name: "inference", run: protocol::inference },
    Component { name: "metric.anet_proposal", run: protocol::average_recall },
];
