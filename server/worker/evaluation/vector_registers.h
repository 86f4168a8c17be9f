// Leaves the processor's vector registers as code that does not use all of them expects. Internal
// to evaluation/. Thread safety: of the calling thread's registers alone.
#ifndef STOCKPOT_SERVER_WORKER_EVALUATION_VECTOR_REGISTERS_H_
#define STOCKPOT_SERVER_WORKER_EVALUATION_VECTOR_REGISTERS_H_

namespace stockpot {

// CUDA's driver copies small pieces of memory with 256 or 512 bits and leaves the upper halves in
// use; code for the baseline then runs slower until somebody clears them. Measured with driver 580
// on a Xeon with AVX-512: the scores of 1,000 examples of 1,000 classes took 250 ms, cleared 12.
void ClearUpperVectorRegisters();

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_EVALUATION_VECTOR_REGISTERS_H_
