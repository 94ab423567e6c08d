module sandglass-e2e

go 1.21

require (
	connectrpc.com/connect v1.18.1
	golang.org/x/net v0.23.0
	google.golang.org/protobuf v1.34.2
)

require golang.org/x/text v0.14.0 // indirect
