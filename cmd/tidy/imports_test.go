package tidy

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

// pkg is what `go list` says of a package; tests may import what they need.
type pkg struct {
	ImportPath string
	Imports    []string
}

func packages(t *testing.T) []pkg {
	t.Helper()
	command := exec.Command("go", "list", "-e", "-json=ImportPath,Imports", "./...")
	command.Dir = moduleRoot(t)
	out, err := command.Output()
	if err != nil {
		t.Fatalf("cannot list the packages: %v", err)
	}
	var all []pkg
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	if len(all) < 5 {
		t.Fatalf("found %d packages, the list is not whole", len(all))
	}
	return all
}

// parsers may be used where otherwise only the standard library may. SipHash is among them as the
// keyed hash that pseudonyms are made with: like a parser it computes and touches nothing.
var parsers = []string{
	"github.com/valyala/fastjson", "gopkg.in/yaml.v3", "go.yaml.in/yaml/v3", "golang.org/x/text",
	"github.com/dchest/siphash",
}

// outside names the systems of which features know nothing.
var outside = []string{
	"github.com/twmb/franz-go", "github.com/ClickHouse", "github.com/spf13", "github.com/knadh",
	"github.com/prometheus", "net", "net/http", "flag",
}

// forbidden says why from may not import imported, "" when it may. ARCHITECTURE is the source of
// the rules: one line there is one case here.
func forbidden(from, imported string) string {
	in := func(name, folder string) bool { return name == folder || strings.HasPrefix(name, folder+"/") }
	ours := in(imported, "usher")
	switch {
	case in(imported, "usher/cmd") && !in(from, "usher/cmd"):
		return "cmd imports everything, nothing imports cmd"
	case in(from, "usher/pipeline/event"), in(from, "usher/pipeline/redact"), in(from, "usher/pipeline/route"):
		if imported != "usher/pipeline/event" && !sameFolder(from, imported) && (ours || !standard(imported)) {
			return "event, redact and route take the standard library and parsers only"
		}
	case in(from, "usher/features"):
		return forbiddenInFeatures(from, imported, in)
	case in(from, "usher/sinks") && in(imported, "usher/pipeline"):
		return "sinks see rows and tickets, never the pipeline: raw text has one gate"
	case in(from, "usher/pipeline/source"):
		if in(imported, "usher/features") || in(imported, "usher/sinks") {
			return "a source knows neither features nor sinks"
		}
	}
	return forbiddenSibling(from, imported)
}

func forbiddenInFeatures(from, imported string, in func(name, folder string) bool) string {
	const train = "usher/features/classifier/train"
	if from == "usher/features/classifier" && in(imported, train) {
		return "what scores never imports what trains"
	}
	allowed := imported == "usher/pipeline/event" || in(imported, "usher/features") ||
		in(from, train) && in(imported, "usher/pipeline/redact")
	if in(imported, "usher") && !allowed {
		return "features know the event and nothing else of usher"
	}
	for _, system := range outside {
		if imported == system || strings.Contains(system, ".") && in(imported, system) {
			return "features know no Kafka, ClickHouse, flags or network"
		}
	}
	return ""
}

// vendors are folders of which each stands for one foreign system or format.
var vendors = map[string]map[string]bool{
	"usher/pipeline/source/": words("kafka csv whatsapp telegram instagram jsonl"),
	"usher/sinks/":           words("clickhouse kafka zendesk gorgias klaviyo bitrix24 webhook"),
}

func forbiddenSibling(from, imported string) string {
	for parent, folders := range vendors {
		a, _, _ := strings.Cut(strings.TrimPrefix(from, parent), "/")
		b, _, _ := strings.Cut(strings.TrimPrefix(imported, parent), "/")
		if strings.HasPrefix(from, parent) && strings.HasPrefix(imported, parent) &&
			a != b && folders[a] && folders[b] {
			return "no vendor's folder imports another's"
		}
	}
	return ""
}

// sameFolder reports whether both lie under the same folder of pipeline.
func sameFolder(a, b string) bool {
	folder := strings.Join(strings.SplitN(a, "/", 4)[:3], "/")
	return b == folder || strings.HasPrefix(b, folder+"/")
}

// standard reports whether a package is of the standard library, or a parser.
func standard(imported string) bool {
	for _, parser := range parsers {
		if imported == parser || strings.HasPrefix(imported, parser+"/") {
			return true
		}
	}
	first, _, _ := strings.Cut(imported, "/")
	return !strings.Contains(first, ".")
}
