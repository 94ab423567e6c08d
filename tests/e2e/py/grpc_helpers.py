"""A stock gRPC client without generated code: message classes come from the server's reflection service."""
from google.protobuf import descriptor_pool, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase


class Client:
    def __init__(self, channel):
        self.channel = channel
        self.pool = descriptor_pool.DescriptorPool(ProtoReflectionDescriptorDatabase(channel))

    def type(self, name):
        return message_factory.GetMessageClass(self.pool.FindMessageTypeByName(name))

    def method(self, path):
        """A callable like those of generated stubs; path is "package.Service/Method"."""
        service, _, name = path.rpartition("/")
        method = self.pool.FindServiceByName(service).methods_by_name[name]
        request = message_factory.GetMessageClass(method.input_type)
        answer = message_factory.GetMessageClass(method.output_type)
        make = self.channel.unary_stream if method.server_streaming else self.channel.unary_unary
        call = make(f"/{path}", request_serializer=request.SerializeToString, response_deserializer=answer.FromString)

        def invoke(metadata=(), timeout=60, **fields):
            return call(request(**fields), metadata=list(metadata), timeout=timeout)

        return invoke
