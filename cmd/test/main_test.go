package main

import (
	"strings"
	"testing"
)

// A skip is listed with its reason, a failure is shown in full, what passes says
// nothing.
func TestFollow(t *testing.T) {
	var out strings.Builder
	r := follow(strings.NewReader(`{"Action":"run","Package":"lorac/a","Test":"TestX"}
{"Action":"output","Package":"lorac/a","Test":"TestX","Output":"    x_test.go:7: LORAC_SLOW=crash: long loops\n"}
{"Action":"output","Package":"lorac/a","Test":"TestX","Output":"--- SKIP: TestX (0.00s)\n"}
{"Action":"skip","Package":"lorac/a","Test":"TestX"}
{"Action":"output","Package":"lorac/a","Test":"TestY","Output":"    x_test.go:9: quiet\n"}
{"Action":"pass","Package":"lorac/a","Test":"TestY"}
{"Action":"output","Package":"lorac/a","Test":"TestZ","Output":"    x_test.go:9: wrong\n"}
{"Action":"fail","Package":"lorac/a","Test":"TestZ"}
{"Action":"fail","Package":"lorac/a","Elapsed":1.5}
`), &out)
	r.close(&out, "bench")
	for _, want := range []string{"x_test.go:9: wrong\n", "fail a 1.5s\n", "1 tests passed, 1 failed", "  LORAC_SLOW=crash: long loops\n      a.TestX\n", "-slow ascend,crash,memory,mpi,passes,programs,release,serve,sizes,systems,tokens"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the output lacks %q:\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "quiet") {
		t.Errorf("what passed is shown:\n%s", out.String())
	}
}
