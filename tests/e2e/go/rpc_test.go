// connect-go over each of its protocols and codecs, with messages from the descriptor set of the build.
package e2e

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"golang.org/x/net/http2"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

type message = dynamicpb.Message

const (
	sandboxes  = "sandglass.v1.SandboxService"
	code       = "sandglass.v1.CodeInterpreter"
	health     = "grpc.health.v1.Health"
	reflection = "grpc.reflection.v1.ServerReflection"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Descriptors of the server that was built, read once a test.
func descriptors(t testing.TB) *protoregistry.Files {
	t.Helper()
	data, err := os.ReadFile(os.Getenv("SANDGLASS_TEST_BUILD") + "/proto/descriptors.fds")
	must(t, err)
	set := &descriptorpb.FileDescriptorSet{}
	must(t, proto.Unmarshal(data, set))
	files, err := protodesc.NewFiles(set)
	must(t, err)
	return files
}

// One way to speak: an HTTP version and options of connect-go.
type way struct {
	name    string
	http2   bool
	options []connect.ClientOption
}

var ways = []way{
	{"Connect proto, HTTP/1.1", false, nil},
	{"Connect proto, HTTP/2", true, nil},
	{"Connect JSON, HTTP/1.1", false, []connect.ClientOption{connect.WithProtoJSON()}},
	{"Connect JSON, HTTP/2", true, []connect.ClientOption{connect.WithProtoJSON()}},
	{"gRPC", true, []connect.ClientOption{connect.WithGRPC()}},
	{"gRPC JSON", true, []connect.ClientOption{connect.WithGRPC(), connect.WithProtoJSON()}},
	{"gRPC-Web, HTTP/1.1", false, []connect.ClientOption{connect.WithGRPCWeb()}},
	{"gRPC-Web, HTTP/2", true, []connect.ClientOption{connect.WithGRPCWeb()}},
}

type peer struct {
	t     *testing.T
	way   way
	files *protoregistry.Files
	http  *http.Client
	meta  http.Header // of calls into the sandbox
}

func newPeer(t *testing.T, w way) *peer {
	p := &peer{t: t, way: w, files: descriptors(t), http: &http.Client{Transport: &http.Transport{}}}
	if w.http2 {
		p.http.Transport = &http2.Transport{AllowHTTP: true,
			DialTLSContext: func(ctx context.Context, network, addr string, _ *tls.Config) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, network, addr)
			}}
	}
	return p
}

func (p *peer) method(service, name string) protoreflect.MethodDescriptor {
	p.t.Helper()
	found, err := p.files.FindDescriptorByName(protoreflect.FullName(service))
	must(p.t, err)
	return found.(protoreflect.ServiceDescriptor).Methods().ByName(protoreflect.Name(name))
}

func (p *peer) client(m protoreflect.MethodDescriptor, more ...connect.ClientOption) *connect.Client[message, message] {
	options := append([]connect.ClientOption{connect.WithSchema(m),
		connect.WithResponseInitializer(func(spec connect.Spec, msg any) error {
			*msg.(*message) = *dynamicpb.NewMessage(spec.Schema.(protoreflect.MethodDescriptor).Output())
			return nil
		})}, p.way.options...)
	path := fmt.Sprintf("%s/%s/%s", os.Getenv("SANDGLASS_URL"), m.Parent().FullName(), m.Name())
	return connect.NewClient[message, message](p.http, path, append(options, more...)...)
}

func request(t testing.TB, m protoreflect.MethodDescriptor, json string) *message {
	t.Helper()
	msg := dynamicpb.NewMessage(m.Input())
	must(t, protojson.Unmarshal([]byte(json), msg))
	return msg
}

func key() http.Header { return http.Header{"X-Api-Key": {os.Getenv("E2B_API_KEY")}} }

func withHeader[T any](r *connect.Request[T], h http.Header) *connect.Request[T] {
	for name, values := range h {
		r.Header()[name] = values
	}
	return r
}

func (p *peer) unary(service, name, json string, h http.Header, more ...connect.ClientOption) (*message, error) {
	p.t.Helper()
	m := p.method(service, name)
	answer, err := p.client(m, more...).CallUnary(context.Background(),
		withHeader(connect.NewRequest(request(p.t, m, json)), h))
	if err != nil {
		return nil, err
	}
	return answer.Msg, nil
}

// All messages of a stream.
func (p *peer) stream(ctx context.Context, service, name, json string, h http.Header) ([]*message, error) {
	p.t.Helper()
	m := p.method(service, name)
	s, err := p.client(m).CallServerStream(ctx, withHeader(connect.NewRequest(request(p.t, m, json)), h))
	if err != nil {
		return nil, err
	}
	defer s.Close()
	var all []*message
	for s.Receive() {
		all = append(all, proto.Clone(s.Msg()).(*message))
	}
	return all, s.Err()
}

func (p *peer) run(source string) []*message {
	p.t.Helper()
	events, err := p.stream(context.Background(), code, "Execute", fmt.Sprintf(`{"code":%q}`, source), p.meta)
	must(p.t, err)
	return events
}

// A field by its path, "a.b.c".
func get(m protoreflect.Message, path string) protoreflect.Value {
	name, rest, more := strings.Cut(path, ".")
	field := m.Descriptor().Fields().ByName(protoreflect.Name(name))
	if more {
		return get(m.Get(field).Message(), rest)
	}
	return m.Get(field)
}

func text(events []*message, kind string) string {
	var all strings.Builder
	for _, e := range events {
		if e.Has(e.Descriptor().Fields().ByName(protoreflect.Name(kind))) {
			all.WriteString(get(e, kind+".text").String())
		}
	}
	return all.String()
}

func endOf(t testing.TB, events []*message) protoreflect.EnumNumber {
	t.Helper()
	if len(events) == 0 {
		t.Fatal("no events")
	}
	return get(events[len(events)-1], "end.status").Enum()
}

func wantCode(t testing.TB, err error, want connect.Code, words string) *connect.Error {
	t.Helper()
	var failure *connect.Error
	if !errors.As(err, &failure) || failure.Code() != want || !strings.Contains(failure.Message(), words) {
		t.Fatalf("wanted %v with %q, got %v", want, words, err)
	}
	return failure
}

func TestConnectGo(t *testing.T) {
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			p := newPeer(t, w)
			made, err := p.unary(sandboxes, "CreateSandbox",
				`{"timeoutSeconds":600,"metadata":{"süß":"😀","empty":""},"env":{"GREETING":"hallo"}}`, key())
			must(t, err)
			id := get(made, "sandbox.sandbox_id").String()
			p.meta = http.Header{"Sandglass-Sandbox-Id": {id}, "X-Access-Token": {get(made, "access_token").String()}}
			defer func() {
				_, err := p.unary(sandboxes, "KillSandbox", fmt.Sprintf(`{"sandboxId":%q}`, id), key())
				must(t, err)
			}()
			for name, test := range map[string]func(*testing.T, *peer, string){
				"messages": messages, "events": events, "errors": failures, "deadline": deadline, "cancel": cancel,
				"sizes": sizes, "compression": compression, "standard services": standard,
			} {
				t.Run(name, func(t *testing.T) {
					inner := *p
					inner.t = t
					test(t, &inner, id)
				})
			}
		})
	}
}

func messages(t *testing.T, p *peer, id string) {
	got, err := p.unary(sandboxes, "GetSandbox", fmt.Sprintf(`{"sandboxId":%q}`, id), key())
	must(t, err)
	metadata := get(got, "sandbox.metadata").Map()
	if metadata.Len() != 2 || metadata.Get(protoreflect.ValueOf("süß").MapKey()).String() != "😀" {
		t.Errorf("metadata %v", metadata)
	}
	if n := get(got, "sandbox.memory_bytes").Uint(); n < 1<<28 {
		t.Errorf("memory %d", n)
	}
	life := get(got, "sandbox.end_at.seconds").Int() - get(got, "sandbox.started_at.seconds").Int()
	if life < 599 || life > 601 {
		t.Errorf("it lives for %d s", life)
	}
}

func events(t *testing.T, p *peer, _ string) {
	all := p.run("import os\nprint('ä', os.environ['GREETING'])\n40 + 2")
	if got := text(all, "stdout"); got != "ä hallo\n" {
		t.Errorf("stdout %q", got)
	}
	if status := endOf(t, all); status != 1 {
		t.Errorf("end %v", status)
	}
	for i, e := range all {
		if seq := get(e, "seq").Uint(); seq != 0 && seq != uint64(i+1) {
			t.Errorf("event %d has number %d", i, seq)
		}
	}
	execution := get(all[0], "started.execution_id").String()
	again, err := p.stream(context.Background(), code, "Attach",
		fmt.Sprintf(`{"executionId":%q,"fromSeq":"3"}`, execution), p.meta)
	must(t, err)
	if len(again) != len(all)-2 || !proto.Equal(again[0], all[2]) {
		t.Errorf("attach gave %d of %d events", len(again), len(all))
	}
}

func failures(t *testing.T, p *peer, _ string) {
	_, err := p.unary(sandboxes, "ListSandboxes", `{}`, nil)
	wantCode(t, err, connect.CodeUnauthenticated, "")
	_, err = p.unary(sandboxes, "CreateSandbox", `{"template":"nöpe %41"}`, key())
	wantCode(t, err, connect.CodeNotFound, "nöpe %41")
	_, err = p.unary(sandboxes, "ListSandboxes", `{"pageSize":1000}`, key())
	wantCode(t, err, connect.CodeInvalidArgument, "page_size")
	_, err = p.stream(context.Background(), code, "Execute", `{"code":"1","contextId":"none"}`, p.meta)
	wantCode(t, err, connect.CodeNotFound, "none")
	_, err = p.unary(code, "CreateContext", `{"language":"cobol"}`, p.meta)
	wantCode(t, err, connect.CodeFailedPrecondition, "cobol")
}

func deadline(t *testing.T, p *peer, _ string) {
	ctx, done := context.WithTimeout(context.Background(), 700*time.Millisecond)
	defer done()
	_, err := p.stream(ctx, code, "Execute", `{"code":"import time; time.sleep(60)"}`, p.meta)
	wantCode(t, err, connect.CodeDeadlineExceeded, "")
	began := time.Now()
	if status := endOf(t, p.run("1")); status != 1 || time.Since(began) > 20*time.Second {
		t.Errorf("after the deadline: end %v, %v", status, time.Since(began))
	}
}

func cancel(t *testing.T, p *peer, _ string) {
	ctx, stop := context.WithCancel(context.Background())
	m := p.method(code, "Execute")
	source := `{"code":"import time\nprint(1, flush=True)\ntime.sleep(60)","interruptOnDisconnect":true}`
	s, err := p.client(m).CallServerStream(ctx, withHeader(connect.NewRequest(request(t, m, source)), p.meta))
	must(t, err)
	for s.Receive() {
		if s.Msg().Has(m.Output().Fields().ByName("stdout")) {
			stop()
		}
	}
	stop()
	wantCode(t, s.Err(), connect.CodeCanceled, "")
	began := time.Now()
	if status := endOf(t, p.run("2")); status != 1 || time.Since(began) > 20*time.Second {
		t.Errorf("after the cancel: end %v, %v", status, time.Since(began))
	}
}

func sizes(t *testing.T, p *peer, _ string) {
	big := strings.Repeat("x", 3_000_000)
	if got := text(p.run("s = '"+big+"'\nprint(s)"), "stdout"); got != big+"\n" {
		t.Errorf("%d bytes came back", len(got))
	}
	_, err := p.stream(context.Background(), code, "Execute",
		fmt.Sprintf(`{"code":%q}`, strings.Repeat("x", 4_500_000)), p.meta)
	wantCode(t, err, connect.CodeResourceExhausted, "4194304")
}

func compression(t *testing.T, p *peer, _ string) {
	_, err := p.unary(sandboxes, "ListSandboxes", `{"pageSize":5}`, key(), connect.WithSendGzip())
	failure := wantCode(t, err, connect.CodeUnimplemented, "gzip")
	accepted := ""
	for _, name := range []string{"Accept-Encoding", "Connect-Accept-Encoding", "Grpc-Accept-Encoding"} {
		accepted += failure.Meta().Get(name)
	}
	if accepted != "identity" {
		t.Errorf("accepted %q in %v", accepted, failure.Meta())
	}
}

func standard(t *testing.T, p *peer, _ string) {
	answer, err := p.unary(health, "Check", `{}`, nil)
	must(t, err)
	if get(answer, "status").Enum() != 1 {
		t.Errorf("health %v", answer)
	}
	_, err = p.unary(health, "Check", `{"service":"nobody"}`, nil)
	wantCode(t, err, connect.CodeNotFound, "nobody")
	if !p.way.http2 {
		return // both directions at once need HTTP/2
	}
	m := p.method(reflection, "ServerReflectionInfo")
	talk := p.client(m).CallBidiStream(context.Background())
	for _, ask := range []string{`{"listServices":""}`, `{"fileContainingSymbol":"` + code + `"}`} {
		must(t, talk.Send(request(t, m, ask)))
		answer, err := talk.Receive()
		must(t, err)
		if ask == `{"listServices":""}` && get(answer, "list_services_response.service").List().Len() < 3 {
			t.Errorf("services %v", answer)
		}
	}
	must(t, talk.CloseRequest())
	if _, err := talk.Receive(); !errors.Is(err, io.EOF) {
		t.Errorf("after the last question: %v", err)
	}
	must(t, talk.CloseResponse())
}
