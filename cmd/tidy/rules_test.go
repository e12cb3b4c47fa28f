package tidy

import (
	"fmt"
	"go/ast"
	"go/token"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// The sizes that a file, a function and its parameters keep to.
const (
	fileLinesMax     = 700
	functionLinesMax = 70
	parametersMax    = 5
)

// vagueNames say nothing of what a package does.
var vagueNames = words("util utils common model models base manager managers helper helpers misc shared")

// wallTime is what reads or waits for the clock. Features take time from the event or the tick.
var wallTime = words("Now Since Until Sleep After AfterFunc Tick NewTicker NewTimer")

// fileRules applies the rules to one file.
type fileRules struct {
	fset     *token.FileSet
	file     string
	parsed   *ast.File
	isTest   bool
	imported map[string]string // local name → import path
	findings []string
}

func newFileRules(fset *token.FileSet, file string, parsed *ast.File) *fileRules {
	r := &fileRules{
		fset: fset, file: file, parsed: parsed, isTest: strings.HasSuffix(file, "_test.go"),
		imported: map[string]string{},
	}
	for _, spec := range parsed.Imports {
		imported, _ := strconv.Unquote(spec.Path.Value)
		name := path.Base(imported)
		if spec.Name != nil {
			name = spec.Name.Name
		}
		r.imported[name] = imported
	}
	return r
}

func (r *fileRules) run(lines int) []string {
	if lines > fileLinesMax {
		r.report(r.parsed.Package, "the file is %d lines long, more than %d: cut it where the subject changes",
			lines, fileLinesMax)
	}
	folder := path.Base(path.Dir(r.file))
	if name := strings.TrimSuffix(r.parsed.Name.Name, "_test"); vagueNames[name] || vagueNames[folder] {
		r.report(r.parsed.Package, "package %s: the name says nothing of what it does", name)
	}
	if r.isTest { // a table of cases is data, and needs neither documents nor a limit
		return r.findings
	}
	r.documents()
	ast.Inspect(r.parsed, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.FuncDecl:
			r.function(node)
		case *ast.FuncType:
			r.parameters(node, "a function literal or type")
		case *ast.InterfaceType:
			for _, method := range node.Methods.List {
				if signature, ok := method.Type.(*ast.FuncType); ok && len(method.Names) == 1 {
					r.parameters(signature, method.Names[0].Name)
				}
			}
		case *ast.SelectorExpr:
			r.selector(node)
		}
		return true
	})
	return r.findings
}

func (r *fileRules) report(at token.Pos, format string, args ...any) {
	r.findings = append(r.findings,
		fmt.Sprintf("%s:%d: ", r.file, r.fset.Position(at).Line)+fmt.Sprintf(format, args...))
}

func (r *fileRules) function(f *ast.FuncDecl) {
	lines := r.fset.Position(f.End()).Line - r.fset.Position(f.Pos()).Line + 1
	if lines > functionLinesMax {
		r.report(f.Pos(), "function %s is %d lines long, more than %d", f.Name.Name, lines, functionLinesMax)
	}
	r.parameters(f.Type, f.Name.Name)
}

func (r *fileRules) parameters(signature *ast.FuncType, name string) {
	count := signature.Params.NumFields()
	named := name != "a function literal or type"
	if count > parametersMax && named {
		r.report(signature.Pos(), "%s takes %d parameters, more than %d: make a struct of them",
			name, count, parametersMax)
	}
}

// documents asks for a comment on every exported name; one on a group covers the group.
func (r *fileRules) documents() {
	for _, decl := range r.parsed.Decls {
		switch decl := decl.(type) {
		case *ast.FuncDecl:
			if decl.Name.IsExported() && decl.Doc == nil && exportedReceiver(decl) {
				r.report(decl.Pos(), "%s has no comment", decl.Name.Name)
			}
		case *ast.GenDecl:
			for _, spec := range decl.Specs {
				r.documented(decl, spec)
			}
		}
	}
}

func (r *fileRules) documented(decl *ast.GenDecl, spec ast.Spec) {
	switch spec := spec.(type) {
	case *ast.TypeSpec:
		if spec.Name.IsExported() && decl.Doc == nil && spec.Doc == nil && spec.Comment == nil {
			r.report(spec.Pos(), "%s has no comment", spec.Name.Name)
		}
	case *ast.ValueSpec:
		for _, name := range spec.Names {
			if name.IsExported() && decl.Doc == nil && spec.Doc == nil && spec.Comment == nil {
				r.report(spec.Pos(), "%s has no comment", name.Name)
			}
		}
	}
}

// exportedReceiver reports whether a method can be seen from outside; functions can.
func exportedReceiver(f *ast.FuncDecl) bool {
	if f.Recv == nil {
		return true
	}
	receiver := f.Recv.List[0].Type
	for {
		switch inner := receiver.(type) {
		case *ast.StarExpr:
			receiver = inner.X
		case *ast.IndexExpr:
			receiver = inner.X
		case *ast.IndexListExpr:
			receiver = inner.X
		case *ast.Ident:
			return inner.IsExported()
		default:
			return true
		}
	}
}

// selector finds what ends the process outside cmd and what reads the clock inside features.
func (r *fileRules) selector(s *ast.SelectorExpr) {
	on, ok := s.X.(*ast.Ident)
	if !ok {
		return
	}
	whole := on.Name + "." + s.Sel.Name
	from := r.imported[on.Name]
	ends := from == "os" && s.Sel.Name == "Exit" ||
		strings.HasPrefix(s.Sel.Name, "Fatal") && r.imported["testing"] == ""
	forTests := strings.HasSuffix(r.parsed.Name.Name, "test") // its TestMain has to end the process
	program := r.parsed.Name.Name == "main"                   // its main has nobody to return an error to
	if ends && top(r.file) != "cmd" && !forTests && !program {
		r.report(s.Pos(), "%s ends the process: return an error, only a program's main may", whole)
	}
	if from == "time" && wallTime[s.Sel.Name] && top(r.file) == "features" {
		r.report(s.Pos(), "%s is wall time: features take time from the event or the tick", whole)
	}
}

var (
	machinePath = regexp.MustCompile(`(^|[^\w.}*])/` + `(work|root|home|tmp|Users)/`)
	registry    = regexp.MustCompile(`registry\.` + `npmjs\.org|repo1?\.maven\.` + `(apache\.)?org|` +
		`(proxy|sum)\.golang` + `\.org|pypi` + `\.org|files\.python` + `hosted\.org|registry-1\.` + `docker\.io`)
)

// checkText applies the rules about every tracked text.
func checkText(file, content string) []string {
	var findings []string
	for i, line := range strings.Split(content, "\n") {
		if machinePath.MatchString(line) {
			findings = append(findings, fmt.Sprintf("%s:%d: a path of one machine", file, i+1))
		}
		if registry.MatchString(line) {
			findings = append(findings, fmt.Sprintf("%s:%d: the host of a package registry", file, i+1))
		}
	}
	return findings
}
