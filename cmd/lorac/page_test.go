package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lorac/cmd/test/testkit"
)

// hostile is text that would be more than text on a page that does not escape it.
const hostile = `<img src=x onerror=document.title='taken'><b>&"`

// The page of a graph in a browser, of the 7B and of 80 layers with names that would be
// HTML: every view is there, and no text of the config becomes a part of the page.
func TestGraphPage(t *testing.T) {
	testkit.Slow(t, "serve")
	browser, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("the page of lorac inspect --html: it needs chromium (Debian: chromium)")
	}
	dir, shots, home := t.TempDir(), filepath.Join(os.TempDir(), "lorac-graph"), t.TempDir()
	if err := os.MkdirAll(shots, 0o777); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../../configs/llama2/lora_llama2_7b.yaml")
	if err != nil {
		t.Fatal(err)
	}
	large := strings.NewReplacer("num_layers: 32", "num_layers: 80", "prefix: \"llama_7b_lora\"", "prefix: "+fmt.Sprintf("%q", hostile)).Replace(string(text))
	large += "\n# </script><script>document.title='taken'</script>" + hostile + strings.Repeat("long", 20000) + "\n"
	config := filepath.Join(dir, hostile+strings.Repeat("long", 40)+".yaml")
	if err := os.WriteFile(config, []byte(large), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, config, layers string }{{"7b", "../../configs/llama2/lora_llama2_7b.yaml", "32"}, {"hostile", config, "80"}} {
		page := filepath.Join(dir, c.name+".html")
		if out, err := selfCommand(t, "inspect", c.config, "--html", "-o", page).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if info, err := os.Stat(page); err != nil || info.Size() > 4<<20 {
			t.Errorf("%s: the page has %d bytes, %v", c.name, info.Size(), err)
		}
		see := func(view string, more ...string) string {
			cmd := testkit.Command(t, browser, append(append([]string{"--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--user-data-dir=" + home,
				"--window-size=1300,900", "--virtual-time-budget=60000"}, more...), "file://"+page+"#"+view)...)
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			return string(out)
		}
		for _, v := range []struct {
			view string
			want []string
		}{
			{"overview", []string{`href="#function/layer.backward"`, "TFLOP", "kept by a call", "#go/backward.go/"}},
			{"function/layer.backward", []string{"attention_grad", "f32[T,hidden]", "#yaml/", "#go/backward.go/", "MiB"}},
			{"function/layer.forward", []string{"kept: gate"}},
			{"storages", []string{"$layer.wq.a"[1:], "trains", "f32[rank,hidden]"}},
			{"memory", []string{`id="chart"`, "most: ", ", layer "}},
			{"passes/7", []string{"before and after prune-frozen", `class="old"`, "lines are the same"}},
			{"yaml/83", []string{`id="here"`, "num_layers: " + c.layers}},
			{"go/backward.go/38", []string{"AttentionGrad", `id="here"`}},
			{"search/attention_grad%20layer.last", []string{"1 found", `href="#function/layer.last.backward/`}},
		} {
			dom := see(v.view, "--dump-dom")
			main := dom[strings.Index(dom, "<main"):strings.Index(dom, "</main>")]
			for _, want := range v.want {
				if !strings.Contains(main, want) {
					t.Errorf("%s: the view %s lacks %q:\n%.3000s", c.name, v.view, want, main)
				}
			}
			if strings.Contains(dom, "<img") || strings.Contains(main, "<script") || strings.Contains(main, "<b>") || !strings.Contains(dom, "<title>lorac: ") {
				t.Errorf("%s: text of the config is part of the page in the view %s", c.name, v.view)
			}
		}
		for _, v := range []string{"overview", "function/layer.backward", "memory", "passes/7"} {
			shot := filepath.Join(shots, c.name+"-"+strings.ReplaceAll(v, "/", "-")+".png")
			see(v, "--screenshot="+shot)
			if info, err := os.Stat(shot); err != nil || info.Size() < 1000 {
				t.Errorf("the screenshot %s: %v", shot, err)
			}
		}
	}
	t.Logf("screenshots are in %s", shots)
}
