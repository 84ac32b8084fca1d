package infer

import (
	"fmt"
	"slices"
	"testing"

	"lorac/runtime/job"
)

// served is what came of a request.
type served struct {
	ids []int32
	why string
	err error
}

// serveAll answers requests that are all there from the beginning.
func serveAll(t *testing.T, g *Generator, list []*Request) (out []served, kinds []int) {
	t.Helper()
	out = make([]served, len(list))
	for i, q := range list {
		if q.Gone == nil {
			q.Gone = func() bool { return false }
		}
		emit := q.Emit
		q.Emit = func(id int32) bool {
			out[i].ids = append(out[i].ids, id)
			return emit != nil && emit(id)
		}
		q.Done = func(why string, err error) {
			if out[i].why != "" || out[i].err != nil {
				t.Errorf("request %d ends twice", i)
			}
			out[i].why, out[i].err = why, err
		}
	}
	next := 0
	err := g.Serve(func(bool) (*Request, bool) {
		if next == len(list) {
			return nil, false
		}
		next++
		return list[next-1], true
	}, func(kind int) {
		kinds = append(kinds, kind)
		for i := range next - 1 { // the last one begins now
			if out[i].why == "" {
				t.Errorf("request %d is not answered when those of kind %d begin", i, kind)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return out, kinds
}

// Requests have the same answers alone and among others, of whatever length and kind;
// kinds are not mixed.
func TestServe(t *testing.T) {
	j := &job.Job{SeqLength: 60, MaxRows: 16, BosID: 1, EosIDs: []int{2}, Vocab: 40}
	make := func() (list []*Request) {
		for i := range 17 {
			q := &Request{Prompt: []int32{1}, Seed: 5 * i, Limit: 3 + i%9, Kind: i / 5 % 2, Predict: job.Predict{DoSample: i%3 > 0, Temperature: 1, TopP: 1, RepetitionPenalty: 1}}
			for k := range i * 5 % 23 {
				q.Prompt = append(q.Prompt, int32(3+(i+k)%7))
			}
			list = append(list, q)
		}
		return list
	}
	g := &Generator{Job: j}
	g.Use(nil, remembering(60))
	all, kinds := serveAll(t, g, make())
	if !slices.Equal(kinds, []int{0, 1, 0, 1}) {
		t.Errorf("kinds %v", kinds)
	}
	if g.Stats.Most < 3 {
		t.Errorf("at most %d at once", g.Stats.Most)
	}
	for i := range all {
		g := &Generator{Job: j}
		g.Use(nil, remembering(60))
		one, _ := serveAll(t, g, make()[i:i+1])
		if !slices.Equal(one[0].ids, all[i].ids) || one[0].why != all[i].why || all[i].why == "" {
			t.Errorf("request %d: %v alone, %v among others", i, one[0], all[i])
		}
		if n := len(all[i].ids); all[i].why == "length" && n != 3+i%9 || n > 3+i%9 {
			t.Errorf("request %d has %d ids: %s", i, n, all[i].why)
		}
	}
}

// A conversation that continues is not read again, and has the answers that it has when
// it is; another one is.
func TestServeReuses(t *testing.T) {
	j := &job.Job{SeqLength: 60, MaxRows: 16, BosID: 1, Vocab: 40}
	talk := func(other int32) (answers [][]int32, read int) {
		g := &Generator{Job: j}
		g.Use(nil, remembering(60))
		said := []int32{1, 3, 4, 5}
		var queue []*Request
		ask := func(prompt []int32, limit int, emit func(int32)) {
			queue = append(queue, &Request{Prompt: slices.Clone(prompt), Limit: limit, Gone: func() bool { return false },
				Emit: func(id int32) bool { emit(id); return false }, Done: func(string, error) {}})
		}
		turns := 0
		err := g.Serve(func(wait bool) (*Request, bool) {
			if !wait { // one after the other
				return nil, true
			}
			if len(queue) == 0 {
				if turns++; turns > 3 {
					return nil, false
				}
				if turns > 1 {
					said = append(append(said, answers[turns-2]...), int32(4+turns))
				}
				if other > 0 {
					ask([]int32{1, other}, 2, func(int32) {})
				}
				n := turns - 1
				answers = append(answers, nil)
				ask(said, 4, func(id int32) { answers[n] = append(answers[n], id) })
			}
			q := queue[0]
			queue = queue[1:]
			return q, true
		}, func(int) {})
		if err != nil {
			t.Fatal(err)
		}
		return answers, g.Stats.Prompt
	}
	one, read := talk(0)
	again, more := talk(7)
	if fmt.Sprint(one) != fmt.Sprint(again) {
		t.Errorf("%v with what is left, %v without", one, again)
	}
	if read != 4+2+2 || more <= read+3*2 {
		t.Errorf("%d ids read, %d among others", read, more)
	}
}

// A request whose asker has gone ends; so does one whose text ends by itself.
func TestServeEnds(t *testing.T) {
	j := &job.Job{SeqLength: 60, MaxRows: 16, BosID: 1, Vocab: 40}
	g := &Generator{Job: j}
	g.Use(nil, remembering(60))
	n := 0
	gone := false
	list := []*Request{
		{Prompt: []int32{1, 3}, Limit: 20, Gone: func() bool { return gone }, Emit: func(int32) bool { gone = true; return false }},
		{Prompt: []int32{1, 4}, Limit: 20, Emit: func(int32) bool { n++; return n == 4 }},
		{Prompt: []int32{1, 5}, Limit: 20, Gone: func() bool { return true }},
	}
	all, _ := serveAll(t, g, list)
	if all[0].why != "gone" || len(all[0].ids) != 1 || all[1].why != "stop" || len(all[1].ids) != 4 || all[2].why != "gone" || len(all[2].ids) != 0 {
		t.Errorf("%v", all)
	}
}

// What is said is whole characters without the texts that end it, and nothing that may
// become one of those.
func TestSpeaker(t *testing.T) {
	for _, x := range []struct {
		stops  []string
		pieces []string
		want   []string
		rest   string
		ended  bool
	}{
		{nil, []string{"a", "\xc3", "\xa9", "b\xe4\xb8"}, []string{"a", "", "é", "b"}, "\uFFFD", false},
		{[]string{"###"}, []string{"a#", "#b", "##", "#c"}, []string{"a", "##b", "", ""}, "c", true},
		{[]string{"###"}, []string{"a#", "#"}, []string{"a", ""}, "##", false},
		{[]string{"xyz", "yz"}, []string{"wx", "yz"}, []string{"w", ""}, "", true},
	} {
		s := &Speaker{Stops: x.stops}
		var got []string
		ended := false
		for _, p := range x.pieces {
			if ended {
				break
			}
			var say string
			say, ended = s.Add(p)
			got = append(got, say)
		}
		if fmt.Sprint(got) != fmt.Sprint(x.want[:len(got)]) || ended != x.ended || s.Ended != x.ended {
			t.Errorf("%q: %q, ended %v", x.pieces, got, ended)
		}
		if rest := s.Rest(); !x.ended && rest != x.rest {
			t.Errorf("%q: the rest is %q", x.pieces, rest)
		}
	}
}
