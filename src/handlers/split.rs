//! Work on many things cut in halves, so that idle workers of the pool take a share.

/// The results of `work` on every item, in the order of the items. Outside the pool they are made
/// one after the other.
pub(super) fn map<T, R>(items: &[T], work: &(impl Fn(&T) -> R + Sync)) -> Vec<R>
where
    T: Sync,
    R: Send,
{
    match items {
        [] => Vec::new(),
        [one] => vec![work(one)],
        _ => {
            let (left, right) = items.split_at(items.len() / 2);
            let (mut done, rest) = crate::pool::join(|| map(left, work), || map(right, work));
            done.extend(rest);
            done
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_items() {
        for count in [0, 1, 2, 7, 64] {
            let items: Vec<u32> = (0..count).collect();
            assert_eq!(
                map(&items, &|item| item * 2),
                (0..count).map(|i| i * 2).collect::<Vec<_>>()
            );
        }
    }
}
