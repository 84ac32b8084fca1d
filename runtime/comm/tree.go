package comm

// A node stands for the units [at, at+size), size a power of two that divides at.
// Its sum is that of its left half plus that of its right half, or that of its left
// half alone where no unit is in the right one.
type node struct{ at, size int }

// grow is the node itself, or the highest one above it that needs no sum: whose right
// half holds none of the n units.
func (d node) grow(n int) node {
	for d.at%(2*d.size) == 0 && d.at+d.size >= n && d.size < n {
		d.size *= 2
	}
	return d
}

// joins reports whether d is the right half of the node whose left half is l.
func (d node) joins(l node) bool {
	return l.size == d.size && l.at+l.size == d.at && l.at%(2*l.size) == 0
}

// nodes are the largest nodes that can be computed of the units [from, to) of n
// alone, in order.
func nodes(n, from, to int) []node {
	var left []node
	for u := from; u < to; u++ {
		d := node{u, 1}.grow(n)
		for len(left) > 0 && d.joins(left[len(left)-1]) {
			d = node{left[len(left)-1].at, 2 * d.size}.grow(n)
			left = left[:len(left)-1]
		}
		left = append(left, d)
	}
	return left
}

// A step adds node b to node a, numbers in a list of nodes; the sum is a's from then.
type step struct{ a, b int }

// program is the order in which the nodes of all units are added; the last step has
// the root. It is empty where the list is the root.
func program(list []node, n int) []step {
	type open struct {
		node
		i int
	}
	var steps []step
	var left []open
	for i, d := range list {
		d = d.grow(n)
		top := open{d, i}
		for len(left) > 0 && top.joins(left[len(left)-1].node) {
			l := left[len(left)-1]
			steps = append(steps, step{l.i, top.i})
			top = open{node{l.at, 2 * l.size}.grow(n), l.i}
			left = left[:len(left)-1]
		}
		left = append(left, top)
	}
	if len(left) > 1 {
		panic("BUG: the nodes are not those of all units")
	}
	return steps
}
