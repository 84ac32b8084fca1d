package chat

// Loop is the state of a for.
type Loop struct {
	list  []any
	at    int
	Value any
}

// Loops are the turns of a for over a list.
func Loops(list []any) func(yield func(*Loop) bool) {
	return func(yield func(*Loop) bool) {
		for i, v := range list {
			if !yield(&Loop{list, i, v}) {
				return
			}
		}
	}
}

func (l *Loop) attr(name string) any {
	n := len(l.list)
	switch name {
	case "index":
		return l.at + 1
	case "index0":
		return l.at
	case "revindex":
		return n - l.at
	case "revindex0":
		return n - l.at - 1
	case "first":
		return l.at == 0
	case "last":
		return l.at == n-1
	case "length":
		return n
	case "depth":
		return 1
	case "depth0":
		return 0
	case "previtem":
		if l.at > 0 {
			return l.list[l.at-1]
		}
	case "nextitem":
		if l.at+1 < n {
			return l.list[l.at+1]
		}
	}
	return Missing{"loop." + name}
}

// Where are the elements of a list that a condition holds for.
func Where(list []any, cond func(v any) bool) (out []any) {
	for _, v := range list {
		if cond(v) {
			out = append(out, v)
		}
	}
	return out
}
