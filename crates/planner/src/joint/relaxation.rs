//! The fluid relaxation: jobs as a liquid that devices and links are filled with.
//!
//! # Problem
//! Which mixture of (chain, thresholds) per source has the most right answers, weighed by priority, when every device,
//! fragment (by its workers and its CPU limit) and link may be busy for a given share of the time, and nothing waits or is lost?
//!
//! # How
//! A linear program with one column per threshold vector on a chain, far too many to write down:
//!
//! > maximise Σ worth_c·x_c − dearest·Σ over_r  subject to  Σ_(c of s) x_c = 1 per source s,
//! > Σ uses_cr·x_c − over_r ≤ room_r per resource r,  x, over ≥ 0.
//!
//! Its dual prices the resources. At these prices the best thresholds of each chain are found exactly
//! ([`super::pricing`]); those that are worth more than their source earns are new columns (cuts of the dual), until there
//! are none. Unlike a climb this ends at the optimum of all. Columns are kept for the next rooms.
//!
//! # Reference
//! P. C. Gilmore and R. E. Gomory, "A linear programming approach to the cutting-stock problem", Operations Research
//! 9(6), 1961 (generation of columns).

use super::candidate::{Candidate, Column, Workshop};
use super::prices::ByStation;
use crate::decomposition::Flow;
use domain::Thresholds;
use microlp::{ComparisonOp, OptimizationDirection, Problem, Solution, Variable};

/// What a second per second that a resource is busy for too long costs: where even first exits are too much there still is an
/// answer. Right answers to all jobs are worth one.
const DEAREST: f64 = 20.0;
/// Rounds of new columns, and the gain below which a column is none.
const ROUNDS: usize = 30;
const SETTLED: f64 = 1e-5;
/// Weights below this are rounding.
const NOTHING: f64 = 1e-6;

/// A column with what it earns and uses.
struct Item {
    /// Place of its source in [`Relaxation::sources`].
    place: usize,
    column: Column,
    worth: f64,
    uses: Vec<f64>,
}

/// Which columns there are to choose from.
#[derive(Clone, Copy)]
pub(super) enum Columns<'s> {
    /// Those that are known.
    Known,
    /// All there are, as far as time is not over.
    New { stop: &'s dyn Fn() -> bool },
}

/// The relaxation with the columns found so far.
pub(super) struct Relaxation<'w, 'p> {
    workshop: &'w Workshop<'p>,
    /// Per resource (devices, then fragments, then links) seconds per second that it can be busy, and is by services that keep
    /// their policies.
    most: Vec<f64>,
    fixed: Vec<f64>,
    /// Whether it may run out before anything else does: a fragment that may take all cores of its device does not.
    is_scarce: Vec<bool>,
    /// Sources that are planned and have arrivals.
    sources: Vec<usize>,
    /// Per service what right answers to all of its jobs are worth.
    worth: Vec<f64>,
    items: Vec<Item>,
}

impl<'w, 'p> Relaxation<'w, 'p> {
    pub(super) fn new(workshop: &'w Workshop<'p>) -> Self {
        let layout = workshop.layout;
        let cores = layout.problem.devices.iter().map(|device| device.cores);
        let lanes = layout.lanes.iter().map(|lane| lane.most);
        let most: Vec<f64> = cores.chain(lanes).chain(layout.links.iter().map(|_| 1.0)).collect();
        let mut fixed = vec![0.0; most.len()];
        for flow in layout.flows.iter().filter(|flow| !workshop.is_planned(flow.source)) {
            let block = &workshop.fixed_loads[flow.at..][..flow.len()];
            uses(workshop, flow, block).into_iter().zip(&mut fixed).for_each(|(used, fixed)| *fixed += used);
        }
        let of_lanes = layout.lanes.iter().map(|lane| lane.most < layout.problem.devices[lane.device].cores - 1e-9);
        let is_scarce =
            (layout.problem.devices.iter().map(|_| true)).chain(of_lanes).chain(layout.links.iter().map(|_| true));
        let is_asked = |source: &usize| workshop.is_planned(*source) && layout.sources[*source].rate > 0.0;
        let total: f64 = layout.problem.services.iter().map(|service| service.targets.priority).sum();
        let mut relaxation = Self {
            workshop,
            sources: (0..layout.sources.len()).filter(is_asked).collect(),
            worth: layout.problem.services.iter().map(|service| service.targets.priority / total).collect(),
            items: vec![],
            is_scarce: is_scarce.collect(),
            most,
            fixed,
        };
        let nothing = vec![f64::NEG_INFINITY; relaxation.sources.len()];
        for price in [0.0, DEAREST] {
            let prices = vec![price; relaxation.resources()];
            let new = relaxation.new_items(&prices, &nothing);
            relaxation.items.extend(new);
        }
        relaxation
    }

    pub(super) fn resources(&self) -> usize {
        self.most.len()
    }

    /// The optimum where each resource may be busy for a share of the time; `None` where the solver gives up.
    pub(super) fn solve(&mut self, fills: &[f64], columns: Columns<'_>) -> Option<Candidate> {
        let shares = fills.iter().zip(&self.most).zip(&self.fixed);
        let rooms: Vec<f64> = shares.map(|((fill, most), fixed)| (fill * most - fixed).max(0.0)).collect();
        if let Columns::New { stop } = columns {
            self.generate(&rooms, stop)?;
        }
        let (weights, solution) = self.primal(&rooms)?;
        let mut candidate = Candidate { sources: vec![vec![]; self.workshop.layout.sources.len()] };
        for (weight, item) in weights.into_iter().zip(&self.items) {
            let weight = solution.var_value(weight);
            if weight > NOTHING {
                candidate.sources[self.sources[item.place]].push(Column { weight, ..item.column.clone() });
            }
        }
        self.fill_up(&mut candidate);
        candidate.prune();
        Some(candidate)
    }

    /// What sources without arrivals do.
    fn fill_up(&self, candidate: &mut Candidate) {
        for (source, columns) in candidate.sources.iter_mut().enumerate() {
            if columns.is_empty() && self.workshop.is_planned(source) {
                let flow = self.workshop.layout.sources[source].first_flow;
                let exits = self.workshop.layout.flows[flow].exits;
                columns.push(self.workshop.column(flow, Thresholds::exit_last(exits), 1.0));
            }
        }
    }

    /// Adds columns until there are none that are worth more than their source earns, or time is over. The dual is solved once
    /// and then cut.
    fn generate(&mut self, rooms: &[f64], stop: &dyn Fn() -> bool) -> Option<()> {
        let mut dual = Problem::new(OptimizationDirection::Minimize);
        let earned: Vec<Variable> =
            self.sources.iter().map(|_| dual.add_var(1.0, (f64::NEG_INFINITY, f64::INFINITY))).collect();
        let dearest = |is_scarce: &bool| if *is_scarce { DEAREST } else { 0.0 };
        let priced = rooms.iter().zip(&self.is_scarce);
        let prices: Vec<Variable> =
            priced.map(|(room, is_scarce)| dual.add_var(*room, (0.0, dearest(is_scarce)))).collect();
        let cut = |item: &Item| -> Vec<(Variable, f64)> {
            let costs = prices.iter().copied().zip(item.uses.iter().copied()).filter(|(_, used)| *used > 0.0);
            std::iter::once((earned[item.place], 1.0)).chain(costs).collect()
        };
        for item in &self.items {
            dual.add_constraint(cut(item), ComparisonOp::Ge, item.worth);
        }
        let mut solution = solved(&dual)?;
        for _ in 0..ROUNDS {
            let of =
                |variables: &[Variable]| variables.iter().map(|one| solution.var_value(*one)).collect::<Vec<f64>>();
            let new = self.new_items(&of(&prices), &of(&earned));
            if new.is_empty() {
                break;
            }
            for item in new {
                if stop() {
                    break;
                }
                solution =
                    solution.add_constraint(cut(&item), ComparisonOp::Ge, item.worth).ok()?.into_solution().ok()?;
                self.items.push(item);
            }
        }
        Some(())
    }

    /// The optimum over known columns: their weights.
    fn primal(&self, rooms: &[f64]) -> Option<(Vec<Variable>, Solution)> {
        let mut program = Problem::new(OptimizationDirection::Maximize);
        let weights: Vec<Variable> =
            self.items.iter().map(|item| program.add_var(item.worth, (0.0, f64::INFINITY))).collect();
        let known = || weights.iter().copied().zip(&self.items);
        for place in 0..self.sources.len() {
            let own = known().filter(|(_, item)| item.place == place).map(|(weight, _)| (weight, 1.0));
            program.add_constraint(own.collect::<Vec<_>>(), ComparisonOp::Eq, 1.0);
        }
        for (resource, room) in rooms.iter().enumerate() {
            let using = known().map(|(weight, item)| (weight, item.uses[resource])).filter(|(_, used)| *used > 0.0);
            let mut row: Vec<(Variable, f64)> = using.collect();
            if !row.is_empty() && self.is_scarce[resource] {
                row.push((program.add_var(-DEAREST, (0.0, f64::INFINITY)), -1.0));
                program.add_constraint(row, ComparisonOp::Le, *room);
            }
        }
        let solution = solved(&program)?;
        Some((weights, solution))
    }

    /// The best column of each chain at these prices, where it is worth more than its source earns.
    fn new_items(&self, prices: &[f64], earned: &[f64]) -> Vec<Item> {
        let layout = self.workshop.layout;
        let (of_devices, others) = prices.split_at(layout.problem.devices.len());
        let (of_lanes, of_links) = others.split_at(layout.lanes.len());
        let of_lanes = layout.lanes.iter().zip(of_lanes).map(|(lane, price)| of_devices[lane.device] + price);
        let by = ByStation { prices: of_lanes.chain(of_links.iter().copied()).collect(), worth: self.worth.clone() };
        let mut new = vec![];
        for (place, &source) in self.sources.iter().enumerate() {
            for flow in layout.flows_of(source) {
                let thresholds = by.thresholds(self.workshop, flow);
                let is_known = |item: &Item| item.column.flow == flow && item.column.arm.thresholds == thresholds;
                if self.items.iter().any(is_known) {
                    continue;
                }
                let item = self.item(place, self.workshop.column(flow, thresholds, 0.0));
                let cost: f64 = item.uses.iter().zip(prices).map(|(used, price)| used * price).sum();
                if item.worth - cost > earned[place] + SETTLED {
                    new.push(item);
                }
            }
        }
        new
    }

    fn item(&self, place: usize, column: Column) -> Item {
        let layout = self.workshop.layout;
        let flow = &layout.flows[column.flow];
        let of_service = layout.sources.iter().filter(|one| one.service == flow.service);
        let total: f64 = of_service.map(|one| one.rate).sum();
        let right: f64 = column.arm.behaviour.correct.iter().sum();
        let worth = self.worth[flow.service] * layout.sources[flow.source].rate / total * right;
        let uses = uses(self.workshop, flow, &column.block);
        Item { place, column, worth, uses }
    }
}

fn solved(program: &Problem) -> Option<Solution> {
    program.solve().ok()?.into_solution().ok()
}

/// Per device, fragment and link the seconds per second that it is busy with the numbers of a flow.
fn uses(workshop: &Workshop<'_>, flow: &Flow, block: &[f64]) -> Vec<f64> {
    let layout = workshop.layout;
    let (devices, lanes, rate) = (layout.problem.devices.len(), layout.lanes.len(), layout.sources[flow.source].rate);
    let mut uses = vec![0.0; devices + lanes + layout.links.len()];
    let mut reach = block[0];
    for (position, hop) in flow.hops.iter().enumerate() {
        let load = flow.load_in(position, block);
        let device = layout.lanes[hop.lane].device;
        let work = rate * load.work / layout.problem.devices[device].speed;
        uses[device] += work;
        uses[devices + hop.lane] += work;
        if let Some(link) = hop.link {
            uses[devices + lanes + link] += rate * reach * hop.transmission;
        }
        reach = (reach - load.leave).max(0.0);
    }
    uses
}

#[cfg(test)]
#[path = "../../tests/generated/mod.rs"]
pub(super) mod generated;

#[cfg(test)]
mod tests {
    use super::generated::{self, Shape};
    use super::*;
    use crate::decomposition::Layout;
    use crate::joint::search::pricers;

    const ALL: Columns<'static> = Columns::New { stop: &|| false };

    fn small(load: f64) -> domain::Problem {
        generated::problem(&Shape { exits: 3, samples: 120, load, seed: 4, ..Shape::default() })
    }

    fn with<Found>(problem: &domain::Problem, look: impl FnOnce(&mut Relaxation<'_, '_>) -> Found) -> Found {
        let layout = Layout::new(problem);
        let fixed = vec![None; problem.services.len()];
        let workshop =
            Workshop { layout: &layout, pricers: pricers(problem), fixed_loads: vec![0.0; layout.size], fixed };
        look(&mut Relaxation::new(&workshop))
    }

    fn value(relaxation: &Relaxation<'_, '_>, candidate: &Candidate) -> f64 {
        let of = |column: &Column| {
            let place =
                relaxation.sources.iter().position(|one| *one == relaxation.workshop.layout.flows[column.flow].source);
            column.weight * relaxation.item(place.expect("it is planned"), column.clone()).worth
        };
        candidate.sources.iter().flatten().map(of).sum()
    }

    /// Every threshold vector there is as a column, instead of those that prices ask for.
    #[test]
    fn nothing_is_better_than_the_columns_that_are_found() {
        for load in [0.8, 1.5] {
            let problem = small(load);
            let (found, all) = with(&problem, |relaxation| {
                let fills = vec![0.85; relaxation.resources()];
                let ours = relaxation.solve(&fills, ALL).expect("it is solved");
                let found = value(relaxation, &ours);
                let samples = &problem.services[0].model.choose.exits;
                let cuts = |exit: usize| -> Vec<f32> {
                    let known = samples.confidences(exit).iter().copied().step_by(4);
                    known.chain([0.0, 1.0]).collect()
                };
                for flow in 0..relaxation.workshop.layout.flows.len() {
                    let source = relaxation.workshop.layout.flows[flow].source;
                    let place = relaxation.sources.iter().position(|one| *one == source).expect("it is planned");
                    for one in cuts(0) {
                        for other in cuts(1) {
                            let thresholds = Thresholds::new(vec![one, other]).expect("confidences");
                            let column = relaxation.workshop.column(flow, thresholds, 0.0);
                            let item = relaxation.item(place, column);
                            relaxation.items.push(item);
                        }
                    }
                }
                let rooms: Vec<f64> = relaxation.most.iter().map(|most| 0.85 * most).collect();
                let (weights, solution) = relaxation.primal(&rooms).expect("it is solved");
                let worth =
                    weights.iter().zip(&relaxation.items).map(|(one, item)| solution.var_value(*one) * item.worth);
                (found, worth.sum::<f64>())
            });
            assert!(found <= all + 1e-6 && found > all - 1e-3, "load {load}: {found} of {all}");
        }
    }

    #[test]
    fn resources_are_filled_as_far_as_they_may_be() {
        let problem = small(1.2);
        let busiest = |fill: f64| {
            with(&problem, |relaxation| {
                let found = relaxation.solve(&vec![fill; relaxation.resources()], ALL).expect("it is solved");
                let loads = relaxation.workshop.loads(&found);
                let mut used = vec![0.0; relaxation.resources()];
                for flow in &relaxation.workshop.layout.flows {
                    let own = uses(relaxation.workshop, flow, &loads[flow.at..][..flow.len()]);
                    own.into_iter().zip(&mut used).for_each(|(own, used)| *used += own);
                }
                used.iter().zip(&relaxation.most).map(|(used, most)| used / most).fold(0.0, f64::max)
            })
        };
        assert!(
            (busiest(0.9) - 0.9).abs() < 5e-3 && (busiest(0.6) - 0.6).abs() < 5e-3,
            "{} {}",
            busiest(0.9),
            busiest(0.6)
        );
    }

    #[test]
    fn fragments_are_filled_no_more_than_workers_and_limits_allow() {
        let mut problem = small(0.3);
        for device in &mut problem.devices {
            device.cores = 8.0;
            device.fragments.iter_mut().for_each(|fragment| fragment.cpu_limit = 0.3);
        }
        with(&problem, |relaxation| {
            let found = relaxation.solve(&vec![0.8; relaxation.resources()], ALL).expect("it is solved");
            let loads = relaxation.workshop.loads(&found);
            let devices = problem.devices.len();
            let mut used = vec![0.0; relaxation.workshop.layout.lanes.len()];
            for flow in &relaxation.workshop.layout.flows {
                let own = uses(relaxation.workshop, flow, &loads[flow.at..][..flow.len()]);
                own[devices..].iter().zip(&mut used).for_each(|(own, used)| *used += own);
            }
            let busiest = used.iter().copied().fold(0.0, f64::max);
            assert!(busiest <= 0.24 + 1e-6 && busiest > 0.2, "{used:?}");
        });
    }

    #[test]
    fn too_many_jobs_for_first_exits_still_give_a_plan() {
        let problem = small(50.0);
        let found = with(&problem, |relaxation| relaxation.solve(&vec![0.8; relaxation.resources()], ALL));
        assert!(found.expect("it is solved").sources.iter().all(|columns| !columns.is_empty()));
    }
}
