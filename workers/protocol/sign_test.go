// Canonical JSON and signatures, beyond what the transcripts verify.

package protocol_test

import (
	"errors"
	"testing"

	"orrery/workers/protocol"
)

func TestCanonicalSpelling(t *testing.T) {
	for _, tc := range []struct{ in, want string }{
		{`{"b":1,"a":{"d":null,"c":[null,2.0]}, "é":"\u00e9\u2028<&>/"}`, `{"a":{"c":[null,2]},"b":1,"é":"é` + "\u2028" + `<&>/"}`},
		{`{"n":[0.00001,1.5e-6,9.9e-7,1.23e-5,0.1,123456789.125,-0.0,1e3,5e-324]}`, `{"n":[0.00001,1.5e-6,9.9e-7,0.0000123,0.1,123456789.125,0,1000,5e-324]}`},
		{`{"n":[9223372036854775807,18446744073709551615,-1]}`, `{"n":[9223372036854775807,18446744073709551615,-1]}`},
		{`{"s":"\u0008\u000c\u001f\u007f\n\r\t\"\\\ud83d\ude00"}`, `{"s":"\b\f\u001f` + "\u007f" + `\n\r\t\"\\😀"}`},
		{`{"security":{"a":1},"k":true}`, `{"k":true}`},
	} {
		got, err := protocol.Canonical([]byte(tc.in), "security")
		if err != nil || string(got) != tc.want {
			t.Errorf("%s\n got %s\nwant %s (%v)", tc.in, got, tc.want, err)
		}
	}
	if out, err := protocol.Canonical([]byte(`{"n":1e999}`)); err == nil {
		t.Errorf("a number beyond all floats became %s", out)
	}
}

func TestVerifyRefuses(t *testing.T) {
	sig, err := protocol.Sign([]byte(`{"worker_id":"w","n":2.0}`), "key")
	if err != nil {
		t.Fatal(err)
	}
	signed := func(body string) []byte {
		return []byte(body + `,"security":{"signature":"` + sig + `","signer_id":"w"}}`)
	}
	if err := protocol.Verify(signed(`{"n":2,"worker_id":"w","x":null`), "key"); err != nil {
		t.Errorf("the same message in another spelling: %v", err)
	}
	for _, tc := range []struct {
		name string
		body []byte
		key  string
		code string
	}{
		{"changed", signed(`{"n":3,"worker_id":"w"`), "key", protocol.CodeBadSign},
		{"other key", signed(`{"n":2,"worker_id":"w"`), "other", protocol.CodeBadSign},
		{"unsigned", []byte(`{"worker_id":"w"}`), "key", protocol.CodeUnsigned},
		{"no JSON", []byte(`{`), "key", protocol.CodeBadJSON},
	} {
		var typed *protocol.Error
		if err := protocol.Verify(tc.body, tc.key); !errors.As(err, &typed) || typed.Code != tc.code {
			t.Errorf("%s: %v, want %s", tc.name, err, tc.code)
		}
	}
}

func TestReadSignatureNonce(t *testing.T) {
	s, ok, err := protocol.ReadSignature([]byte(`{"event_id":"e","timestamp":12,"security":{"signature":"aa","signer_id":"w"}}`))
	if err != nil || !ok || s != (protocol.Signature{Value: "aa", SignerID: "w", UnixSeconds: 12, Nonce: "e"}) {
		t.Errorf("%+v %v %v", s, ok, err)
	}
	s, ok, err = protocol.ReadSignature([]byte(`{"security":{"signature":"aa"}}`))
	if err != nil || !ok || s.Nonce != "aa" {
		t.Errorf("%+v %v %v", s, ok, err)
	}
	if _, ok, err = protocol.ReadSignature([]byte(`{"security":null}`)); ok || err != nil {
		t.Errorf("unsigned: %v %v", ok, err)
	}
}

func TestSignTaskVerifies(t *testing.T) {
	out, err := protocol.SignTask(protocol.Task{JobID: "j", TaskID: "t", Type: "echo", Params: []byte(`{"x":2.0,"nil":null}`)}, "secret")
	if err != nil {
		t.Fatal(err)
	}
	// Computed by the signing library of SDK 1.0b20 over the same task.
	const want = "75ae80e650f5773236cae7b7bbbd80770cf6e05e298add0ecf1ed478f136407e"
	sig, err := protocol.Sign(out, "secret")
	if err != nil || sig != want {
		t.Errorf("signature %s, want %s (%v)\n%s", sig, want, err, out)
	}
}

func TestSignsCanonically(t *testing.T) {
	for version, want := range map[string]bool{"": false, "1.0b3": false, "1.0b6": false, "1.0b11": true, "1.0b17": true, "1.1": true} {
		if protocol.SignsCanonically(version) != want {
			t.Errorf("%q: want %v", version, want)
		}
	}
}
