"""A small server that answers clients as TF Serving does: REST, gRPC, versions, labels, a configuration that changes.

`python -m export.serving.builtin SETTINGS` runs it; `export.serving.servers.builtin` starts it confined. Behind it is
TensorFlow's C API, TF Serving's loader. Its rules are those of TF Serving's source, tensorflow_serving/model_servers:
server_core.cc, http_rest_api_handler.cc, get_model_status_impl.cc, model_service_impl.cc.
"""
