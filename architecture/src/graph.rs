//! Directed graphs: cycles, the arrows that close them, and the order without these arrows.

use std::collections::{BTreeMap, BTreeSet};

/// A directed graph over the numbers below its size.
#[derive(Debug, Clone)]
pub struct Graph {
    arrows: Vec<BTreeSet<usize>>,
}

impl Graph {
    /// Makes a graph of `size` nodes without arrows.
    pub fn new(size: usize) -> Self {
        Self {
            arrows: vec![BTreeSet::new(); size],
        }
    }

    /// Adds an arrow; one from a node to itself is left out.
    pub fn add(&mut self, from: usize, to: usize) {
        if from != to {
            self.arrows[from].insert(to);
        }
    }

    /// Returns all arrows.
    pub fn arrows(&self) -> impl Iterator<Item = (usize, usize)> {
        self.arrows
            .iter()
            .enumerate()
            .flat_map(|(from, targets)| targets.iter().map(move |to| (from, *to)))
    }

    /// Returns the strongly connected components of more than one node, the largest first.
    pub fn cycles(&self) -> Vec<Vec<usize>> {
        let reach: Vec<BTreeSet<usize>> = (0..self.arrows.len())
            .map(|node| self.reach(node))
            .collect();
        let mut cycles: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for node in 0..self.arrows.len() {
            let first = reach[node]
                .iter()
                .find(|other| reach[**other].contains(&node));
            if let Some(first) = first {
                cycles.entry(*first).or_default().push(node);
            }
        }
        let mut cycles: Vec<Vec<usize>> = cycles.into_values().collect();
        cycles.sort_by_key(|cycle| std::cmp::Reverse(cycle.len()));
        cycles
    }

    /// Returns the nodes that a node reaches by at least one arrow.
    fn reach(&self, node: usize) -> BTreeSet<usize> {
        let mut reached = BTreeSet::new();
        let mut open: Vec<usize> = self.arrows[node].iter().copied().collect();
        while let Some(next) = open.pop() {
            if reached.insert(next) {
                open.extend(&self.arrows[next]);
            }
        }
        reached
    }

    /// Returns a small set of arrows without which there is no cycle. Finding a minimum set is
    /// NP-hard; this orders each cycle greedily and then moves single nodes as long as that helps.
    pub fn upward(&self) -> BTreeSet<(usize, usize)> {
        let mut upward = BTreeSet::new();
        for cycle in self.cycles() {
            let order = self.order(&cycle);
            let place: BTreeMap<usize, usize> = order
                .iter()
                .enumerate()
                .map(|(place, node)| (*node, place))
                .collect();
            for (from, to) in self.arrows() {
                if let (Some(from_place), Some(to_place)) = (place.get(&from), place.get(&to))
                    && from_place > to_place
                {
                    upward.insert((from, to));
                }
            }
        }
        upward
    }

    /// Orders nodes so that few arrows lead back.
    fn order(&self, nodes: &[usize]) -> Vec<usize> {
        let mut left: BTreeSet<usize> = nodes.iter().copied().collect();
        let mut front = Vec::new();
        let mut back = Vec::new();
        while !left.is_empty() {
            let out = |node: usize| self.arrows[node].intersection(&left).count();
            let into = |node: usize| {
                left.iter()
                    .filter(|from| self.arrows[**from].contains(&node))
                    .count()
            };
            let sink = left.iter().copied().find(|node| out(*node) == 0);
            let source = left.iter().copied().find(|node| into(*node) == 0);
            let most = left
                .iter()
                .copied()
                .max_by_key(|node| out(*node) as isize - into(*node) as isize);
            if let Some(sink) = sink {
                back.push(sink);
                left.remove(&sink);
            } else if let Some(next) = source.or(most) {
                front.push(next);
                left.remove(&next);
            }
        }
        back.reverse();
        front.extend(back);
        self.improve(front)
    }

    fn improve(&self, mut order: Vec<usize>) -> Vec<usize> {
        loop {
            let before = self.backward(&order);
            for node in order.clone() {
                let mut rest = order.clone();
                rest.retain(|other| *other != node);
                let best = (0..=rest.len()).min_by_key(|place| {
                    let mut tried = rest.clone();
                    tried.insert(*place, node);
                    self.backward(&tried)
                });
                let mut moved = rest;
                moved.insert(best.unwrap_or(0), node);
                if self.backward(&moved) < self.backward(&order) {
                    order = moved;
                }
            }
            if self.backward(&order) == before {
                return order;
            }
        }
    }

    fn backward(&self, order: &[usize]) -> usize {
        let mut seen = BTreeSet::new();
        let mut backward = 0;
        for node in order {
            backward += self.arrows[*node].intersection(&seen).count();
            seen.insert(*node);
        }
        backward
    }

    /// Returns the floor of each node when the given arrows are left out: 0 for a node without
    /// arrows, otherwise one above the highest node to which it has an arrow.
    pub fn floors(&self, without: &BTreeSet<(usize, usize)>) -> Vec<usize> {
        let mut floors = vec![0; self.arrows.len()];
        // The longest path has fewer arrows than the graph has nodes.
        for _ in 0..self.arrows.len() {
            for (from, to) in self.arrows() {
                if !without.contains(&(from, to)) {
                    floors[from] = floors[from].max(floors[to] + 1);
                }
            }
        }
        floors
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: usize = 4;

    /// All graphs of a small number of nodes.
    fn graphs() -> impl Iterator<Item = Graph> {
        let pairs: Vec<(usize, usize)> = (0..SIZE)
            .flat_map(|from| (0..SIZE).map(move |to| (from, to)))
            .filter(|(from, to)| from != to)
            .collect();
        (0..1_u32 << pairs.len()).map(move |chosen| {
            let mut graph = Graph::new(SIZE);
            for (bit, (from, to)) in pairs.iter().enumerate() {
                if chosen >> bit & 1 == 1 {
                    graph.add(*from, *to);
                }
            }
            graph
        })
    }

    fn orders() -> Vec<Vec<usize>> {
        let mut orders = vec![Vec::new()];
        for node in 0..SIZE {
            orders = orders
                .iter()
                .flat_map(|order: &Vec<usize>| {
                    (0..=order.len()).map(move |place| {
                        let mut order = order.clone();
                        order.insert(place, node);
                        order
                    })
                })
                .collect();
        }
        orders
    }

    /// The minimum number of arrows that lead back, over all orders.
    fn fewest(graph: &Graph, orders: &[Vec<usize>]) -> usize {
        let place = |order: &[usize], node| order.iter().position(|other| *other == node);
        orders
            .iter()
            .map(|order| {
                graph
                    .arrows()
                    .filter(|(from, to)| place(order, *from) > place(order, *to))
                    .count()
            })
            .min()
            .unwrap()
    }

    #[test]
    fn without_the_upward_arrows_which_are_few_there_is_no_cycle() {
        let orders = orders();
        assert_eq!(orders.len(), 24);
        for graph in graphs() {
            let upward = graph.upward();
            assert!(upward.len() <= fewest(&graph, &orders) + 1, "{graph:?}");
            let floors = graph.floors(&upward);
            for (from, to) in graph.arrows() {
                assert!(upward.contains(&(from, to)) || floors[from] > floors[to]);
            }
            assert_eq!(graph.cycles().is_empty(), upward.is_empty());
        }
    }

    #[test]
    fn a_cycle_is_all_that_reach_each_other() {
        let mut graph = Graph::new(7);
        for (from, to) in [
            (0, 1),
            (1, 0),
            (1, 2),
            (2, 3),
            (3, 4),
            (4, 2),
            (3, 5),
            (6, 0),
        ] {
            graph.add(from, to);
        }
        assert_eq!(graph.cycles(), [vec![2, 3, 4], vec![0, 1]]);
    }
}
