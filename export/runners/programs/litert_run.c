/* Runs a signature of a TFLite file by LiteRT's C API: `litert_run MODEL SIGNATURE`.
 *
 * Inputs are read from standard input, packed, one after the other in the order of the signature, and the outputs are
 * written to standard output in the same way, again and again until the input ends. Standard error names each tensor
 * with its bytes. The declarations are those of the headers of litert/c, of which the wheel ai-edge-litert has no copy.
 *
 *     cc -o litert_run litert_run.c -L FOLDER -l LiteRt -Wl,-rpath,FOLDER      # FOLDER: that of libLiteRt.so
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void *Handle; /* LiteRtEnvironment, LiteRtModel, ...: each is a pointer to an opaque type */
typedef struct { int element_type; unsigned layout[17]; } Type; /* LiteRtRankedTensorType */
enum { CPU = 1, READ = 0, WRITE = 1, MOST = 16 };

int LiteRtCreateEnvironment(int, const void *, Handle *);
int LiteRtCreateModelFromFile(Handle, const char *, Handle *);
int LiteRtCreateOptions(Handle *);
int LiteRtSetOptionsHardwareAccelerators(Handle, int);
int LiteRtCreateCompiledModel(Handle, Handle, Handle, Handle *);
int LiteRtGetNumModelSignatures(Handle, size_t *);
int LiteRtGetModelSignature(Handle, size_t, Handle *);
int LiteRtGetSignatureKey(Handle, const char **);
int LiteRtGetNumSignatureInputs(Handle, size_t *);
int LiteRtGetNumSignatureOutputs(Handle, size_t *);
int LiteRtGetSignatureInputName(Handle, size_t, const char **);
int LiteRtGetSignatureOutputName(Handle, size_t, const char **);
int LiteRtGetSignatureInputTensorByIndex(Handle, size_t, Handle *);
int LiteRtGetSignatureOutputTensorByIndex(Handle, size_t, Handle *);
int LiteRtGetRankedTensorType(Handle, Type *);
int LiteRtGetCompiledModelInputBufferRequirements(Handle, size_t, size_t, Handle *);
int LiteRtGetCompiledModelOutputBufferRequirements(Handle, size_t, size_t, Handle *);
int LiteRtCreateManagedTensorBufferFromRequirements(Handle, const Type *, Handle, Handle *);
int LiteRtGetTensorBufferPackedSize(Handle, size_t *);
int LiteRtLockTensorBuffer(Handle, void **, int);
int LiteRtUnlockTensorBuffer(Handle);
int LiteRtRunCompiledModel(Handle, size_t, size_t, Handle *, size_t, Handle *);

static void check(int status, const char *what) {
  if (status) { fprintf(stderr, "%s returned status %d\n", what, status); exit(1); }
}
#define CALL(name, ...) check(name(__VA_ARGS__), #name)

int main(int count, char **words) {
  Handle environment, model, options, compiled, signature, tensor, need, buffers[2][MOST];
  size_t signatures, index, sizes[2][MOST], counts[2];
  const char *name;
  if (count != 3) { fprintf(stderr, "litert_run MODEL SIGNATURE\n"); return 2; }
  CALL(LiteRtCreateEnvironment, 0, NULL, &environment);
  CALL(LiteRtCreateModelFromFile, environment, words[1], &model);
  CALL(LiteRtCreateOptions, &options);
  CALL(LiteRtSetOptionsHardwareAccelerators, options, CPU);
  CALL(LiteRtCreateCompiledModel, environment, model, options, &compiled);
  CALL(LiteRtGetNumModelSignatures, model, &signatures);
  for (index = 0; index < signatures; index++) {
    CALL(LiteRtGetModelSignature, model, index, &signature);
    CALL(LiteRtGetSignatureKey, signature, &name);
    if (!strcmp(name, words[2])) break;
  }
  if (index == signatures) { fprintf(stderr, "no signature %s\n", words[2]); return 1; }
  CALL(LiteRtGetNumSignatureInputs, signature, &counts[0]);
  CALL(LiteRtGetNumSignatureOutputs, signature, &counts[1]);
  if (counts[0] > MOST || counts[1] > MOST) { fprintf(stderr, "more than %d tensors\n", MOST); return 1; }
  for (int out = 0; out < 2; out++)
    for (size_t i = 0; i < counts[out]; i++) {
      Type type;
      CALL((out ? LiteRtGetSignatureOutputName : LiteRtGetSignatureInputName), signature, i, &name);
      CALL((out ? LiteRtGetSignatureOutputTensorByIndex : LiteRtGetSignatureInputTensorByIndex), signature, i, &tensor);
      CALL(LiteRtGetRankedTensorType, tensor, &type);
      CALL((out ? LiteRtGetCompiledModelOutputBufferRequirements : LiteRtGetCompiledModelInputBufferRequirements),
           compiled, index, i, &need);
      CALL(LiteRtCreateManagedTensorBufferFromRequirements, environment, &type, need, &buffers[out][i]);
      CALL(LiteRtGetTensorBufferPackedSize, buffers[out][i], &sizes[out][i]);
      fprintf(stderr, "%s %s %zu\n", out ? "output" : "input", name, sizes[out][i]);
    }
  for (;;) {
    void *data;
    for (size_t i = 0; i < counts[0]; i++) {
      CALL(LiteRtLockTensorBuffer, buffers[0][i], &data, WRITE);
      size_t read = fread(data, 1, sizes[0][i], stdin);
      CALL(LiteRtUnlockTensorBuffer, buffers[0][i]);
      if (read < sizes[0][i]) return i > 0 || read > 0; /* the end of the input, between two calls or within one */
    }
    CALL(LiteRtRunCompiledModel, compiled, index, counts[0], buffers[0], counts[1], buffers[1]);
    for (size_t i = 0; i < counts[1]; i++) {
      CALL(LiteRtLockTensorBuffer, buffers[1][i], &data, READ);
      fwrite(data, 1, sizes[1][i], stdout);
      CALL(LiteRtUnlockTensorBuffer, buffers[1][i]);
    }
    fflush(stdout);
  }
}
