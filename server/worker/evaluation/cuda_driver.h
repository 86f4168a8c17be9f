// What NVIDIA's driver says, asked through its stable C interface without linking it. Internal to
// evaluation/. Thread safety: thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_EVALUATION_CUDA_DRIVER_H_
#define STOCKPOT_SERVER_WORKER_EVALUATION_CUDA_DRIVER_H_

#include <string>

namespace stockpot {

// False where there is no driver or no card that may be used: then LibTorch's CUDA part, more than
// a gigabyte, need not be opened.
bool CudaDriverFindsACard();

// Opens libtorch_cuda.so, which registers itself with libtorch_cpu. False where it or a library it
// needs is missing.
bool OpenTorchCuda();

// Opens libtorch.so, which machine code made by PyTorch asks for by its name and which has nothing
// in it (deploy/install-dependencies), so that the loader does not search for one.
void OpenTorchShell();

struct CudaCard {
  std::string name = "CUDA device";  // "NVIDIA H100 80GB HBM3"
  int major = 0, minor = 0;          // compute capability
};
CudaCard DescribeCard(int index);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_EVALUATION_CUDA_DRIVER_H_
