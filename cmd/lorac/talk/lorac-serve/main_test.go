package main

import (
	"fmt"
	"strings"
	"testing"

	"lorac/cmd/lorac/talk/model"
	"lorac/runtime/exit"
)

// What lorac does not send is refused.
func TestRun(t *testing.T) {
	for _, x := range []struct {
		args []string
		code int
		want string
	}{
		{nil, exit.Usage, "lorac serve CONFIG starts it"},
		{[]string{model.Protocol, "{}"}, exit.Usage, "usage: "},
		{[]string{model.Protocol, "no JSON", "trainer"}, exit.Usage, "usage: "},
		{[]string{"0", "{}", "trainer"}, exit.Input, "of different releases"},
		{[]string{model.Protocol, `{"Host":"127.0.0.1"}`, "./no-trainer"}, exit.Input, "no-trainer"},
	} {
		err := run(x.args)
		if err == nil || !strings.Contains(err.Error(), x.want) || code(err) != x.code {
			t.Errorf("%q: %v", x.args, err)
		}
	}
	if n := code(fmt.Errorf("the model has ended: %w", model.Ended{Code: 7})); n != 7 {
		t.Errorf("a trainer that ends with 7 gives %d", n)
	}
}
