package infer

// Spread has pieces of work done, each by one of the processes of a run, and gives
// what they came to at every process, in order. The outcome does not depend on who
// did what. An error of one is that of all.
type Spread func(n int, work func(i int) ([]byte, error)) ([][]byte, error)

// each has the work done, by this process where it is alone; done sees the outcomes in
// order.
func (s Spread) each(n int, work func(i int) ([]byte, error), done func(i int, outcome []byte)) error {
	if s == nil {
		for i := range n {
			x, err := work(i)
			if err != nil {
				return err
			}
			done(i, x)
		}
		return nil
	}
	all, err := s(n, work)
	if err != nil {
		return err
	}
	for i, x := range all {
		done(i, x)
	}
	return nil
}
